"""LSTM controllers in PyTorch, to compare with.

Run like torch_darts.py, by controllers.py. A step samples a batch, keeping
the graph, and goes back through it: there is one forward pass.
"""

import torch
from torch import nn
from torch.nn import functional
import torch_darts


class Lstm(nn.Module):

  def __init__(self, inputs, hidden, layers):
    super().__init__()
    self.cells = nn.ModuleList(
        [nn.LSTMCell(hidden if i else inputs, hidden) for i in range(layers)])

  def start(self, batch):
    zeros = torch.zeros(batch, self.cells[0].hidden_size)
    return [(zeros, zeros)] * len(self.cells)

  def forward(self, x, state):
    after = []
    for cell, carry in zip(self.cells, state):
      after.append(cell(x, carry))
      x = after[-1][0]
    return x, after


class Tokens(nn.Module):
  """The generator of AutoDL Design."""

  def __init__(self, nodes=10, tokens=10, hidden=64, layers=2):
    super().__init__()
    self.nodes, self.width = nodes, tokens
    self.lstm = Lstm(self.width, hidden, layers)
    self.token_heads = nn.ModuleList(
        [nn.Linear(hidden, tokens) for _ in range(2 * nodes)])
    self.edge_heads = nn.ModuleList(
        [nn.Linear(hidden, i) for _ in range(2) for i in range(1, nodes)])

  def forward(self, batch):
    x, state = torch.zeros(batch, self.width), self.lstm.start(batch)
    edge_heads = iter(self.edge_heads)
    log_prob, chosen = 0., []
    for node, head in enumerate(self.token_heads):
      if node % self.nodes:
        h, state = self.lstm(x, state)
        logits = 2.5 * torch.tanh(next(edge_heads)(h) / 5)
        bits = torch.bernoulli(torch.sigmoid(logits.detach()))
        log_prob = log_prob - functional.binary_cross_entropy_with_logits(
            logits, bits, reduction='none').sum(1)
        x = functional.pad(bits, (0, self.width - bits.shape[1]))
      h, state = self.lstm(x, state)
      token, chosen_log_prob = _draw(2.5 * torch.tanh(head(h) / 5))
      log_prob = log_prob + chosen_log_prob
      x = functional.one_hot(token, self.width).float()
      chosen.append(token)
    return torch.stack(chosen, 1), log_prob


class Softmaxes(nn.Module):
  """A softmax and an embedding for each of some choices in a row."""

  def __init__(self, sizes, hidden):
    super().__init__()
    self.heads = nn.ModuleList([nn.Linear(hidden, size) for size in sizes])
    self.embeddings = nn.ModuleList(
        [nn.Embedding(size, hidden) for size in sizes])

  def forward(self, lstm, x, state):
    """What is chosen, its log-probability, the next input and state."""
    log_prob, chosen = 0., []
    for head, embedding in zip(self.heads, self.embeddings):
      h, state = lstm(x, state)
      token, chosen_log_prob = _draw(head(h))
      log_prob = log_prob + chosen_log_prob
      x = embedding(token)
      chosen.append(token)
    return chosen, log_prob, x, state


class Sequence(nn.Module):
  """A softmax and an embedding for each position."""

  def __init__(self, sizes, hidden=100, layers=1):
    super().__init__()
    self.lstm = Lstm(hidden, hidden, layers)
    self.softmaxes = Softmaxes(sizes, hidden)

  def forward(self, batch):
    state = self.lstm.start(batch)
    chosen, log_prob, _, _ = self.softmaxes(self.lstm, state[0][0], state)
    return torch.stack(chosen, 1), log_prob


class Chain(nn.Module):
  """The controller of NAS-RL with anchor points."""

  def __init__(self, depth=20, sizes=(4, 4, 4), hidden=35, layers=2):
    super().__init__()
    self.depth, self.hidden = depth, hidden
    self.lstm = Lstm(hidden, hidden, layers)
    self.softmaxes = Softmaxes(sizes, hidden)
    self.previous = nn.Linear(hidden, hidden, bias=False)
    self.current = nn.Linear(hidden, hidden, bias=False)
    self.v = nn.Linear(hidden, 1, bias=False)
    self.sources = nn.Parameter(torch.randn(depth, hidden))

  def forward(self, batch):
    state = self.lstm.start(batch)
    x, log_prob, chosen, keys = state[0][0], 0., [], []
    for layer in range(self.depth):
      tokens, chosen_log_prob, x, state = self.softmaxes(self.lstm, x, state)
      log_prob = log_prob + chosen_log_prob
      chosen += tokens
      h, state = self.lstm(x, state)
      x = torch.zeros(batch, self.hidden)
      if layer:
        logits = self.v(torch.tanh(
            torch.stack(keys, 1) + self.current(h)[:, None]))[..., 0]
        bits = torch.bernoulli(torch.sigmoid(logits.detach()))
        log_prob = log_prob - functional.binary_cross_entropy_with_logits(
            logits, bits, reduction='none').sum(1)
        x = bits @ self.sources[:layer]
      keys.append(self.previous(h))
    return torch.stack(chosen, 1), log_prob


def update(request):
  """One update by REINFORCE on the number of ones."""
  torch.set_num_threads(request['threads'])
  torch.manual_seed(0)
  model = {'autodl': Tokens, 'nasnet': Sequence, 'nas_rl': Chain}[
      request['controller']](**request['arguments'])
  optimizer = torch.optim.Adam(model.parameters(), 1e-3)
  baseline = None

  def step():
    nonlocal baseline
    chosen, log_prob = model(request['batch_size'])
    rewards = (chosen == 1).sum(1).float()
    mean = rewards.mean()
    baseline = mean if baseline is None else .9 * baseline + .1 * mean
    optimizer.zero_grad()
    (-log_prob * (rewards - baseline)).mean().backward()
    optimizer.step()

  return step, sum(p.numel() for p in model.parameters())


def _draw(logits):
  log_probs = functional.log_softmax(logits, 1)
  choice = torch.multinomial(log_probs.detach().exp(), 1)
  return choice[:, 0], log_probs.gather(1, choice)[:, 0]


if __name__ == '__main__':
  torch_darts.serve(update)
