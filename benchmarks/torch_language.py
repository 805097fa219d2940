"""Recurrent language models of DARTS in PyTorch, to compare with.

Run like torch_darts.py, by language.py. A step is one of a training, or one of
the search: the gradient of the alphas on a validation window with its step of
Adam, then a step of the weights on a training window. Its parts are those of
quark0/darts (rnn/model.py, model_search.py, architect.py, train_search.py).
"""

import copy

import torch
from torch import nn
from torch.nn import functional
import torch_darts

ACTIVATIONS = {'tanh': torch.tanh, 'relu': torch.relu,
               'sigmoid': torch.sigmoid, 'identity': lambda x: x}
CANDIDATES = ('none', 'tanh', 'relu', 'sigmoid', 'identity')
_NODES = 8
_RANGE = .04


class Cell(nn.Module):
  """The cell of a genotype, a list of (activation, predecessor)."""

  def __init__(self, size, genotype, concat):
    super().__init__()
    self.genotype, self.concat = genotype, concat
    uniform = lambda rows: nn.Parameter(
        torch.empty(rows, 2 * size).uniform_(-_RANGE, _RANGE))
    self._W0 = uniform(2 * size)
    self._Ws = nn.ParameterList([uniform(size) for _ in genotype])

  def forward(self, inputs, hidden, x_mask, h_mask):
    outputs = []
    for x in inputs:
      hidden = self.step(x, hidden, x_mask, h_mask)
      outputs.append(hidden)
    return torch.stack(outputs), hidden

  def step(self, x, hidden, x_mask, h_mask):
    states = [self.first(x, hidden, x_mask, h_mask)]
    for (name, source), weight in zip(self.genotype, self._Ws):
      before = states[source]
      c, h = (before * h_mask).mm(weight).chunk(2, -1)
      states.append(
          before + c.sigmoid() * (ACTIVATIONS[name](h) - before))
    return torch.stack([states[i] for i in self.concat]).mean(0)

  def first(self, x, hidden, x_mask, h_mask):
    c, h = torch.cat([x * x_mask, hidden * h_mask], -1).mm(
        self._W0).chunk(2, -1)
    return hidden + c.sigmoid() * (h.tanh() - hidden)


class SearchCell(Cell):
  """All cells at once; `alphas`, no parameters of it, mix the candidates."""

  def __init__(self, size):
    super().__init__(size, [None] * _NODES, None)
    self.alphas = None
    self.norm = nn.BatchNorm1d(size, affine=False)

  def step(self, x, hidden, x_mask, h_mask):
    weights = functional.softmax(self.alphas, -1)
    states = self.norm(self.first(x, hidden, x_mask, h_mask))[None]
    edge = 0
    for i, weight in enumerate(self._Ws, 1):
      size = states.shape[-1]
      c, h = (states * h_mask).view(-1, size).mm(weight).view(
          i, -1, 2 * size).chunk(2, -1)
      c = c.sigmoid()
      mixed = torch.zeros_like(states[0])
      for k, name in enumerate(CANDIDATES):
        if name != 'none':
          node = states + c * (ACTIVATIONS[name](h) - states)
          mixed += (weights[edge:edge + i, k, None, None] * node).sum(0)
      states = torch.cat([states, self.norm(mixed)[None]])
      edge += i
    return states[1:].mean(0)


class Model(nn.Module):
  """A language model of one layer, with the dropout of DARTS."""

  def __init__(self, vocabulary, size, cell, recipe):
    super().__init__()
    self.recipe = recipe
    self.encoder = nn.Embedding(vocabulary, size)
    self.decoder = nn.Linear(size, vocabulary)
    self.decoder.weight = self.encoder.weight
    self.encoder.weight.data.uniform_(-_RANGE, _RANGE)
    self.decoder.bias.data.zero_()
    self.rnns = nn.ModuleList([cell])

  def forward(self, tokens, hidden):
    """Log-probabilities [T, B, V], outputs before dropout, hidden state."""
    rates, table = self.recipe, self.encoder.weight
    if rates['drop_words']:
      table = table * _mask(table[:, :1], rates['drop_words'])
    x = functional.embedding(tokens, table)
    x = x * _mask(x[0], rates['drop_embedding'])
    raw, hidden = self.rnns[0](
        x, hidden, _mask(x[0], rates['drop_inputs']),
        _mask(hidden, rates['drop_hidden']))
    outputs = raw * _mask(raw[0], rates['drop_output'])
    logits = self.decoder(outputs.view(-1, outputs.shape[-1]))
    return functional.log_softmax(logits, -1).view(
        *tokens.shape, -1), raw, hidden


class Training:
  """A model and its optimizer."""

  def __init__(self, request, cell):
    self.request, self.recipe = request, request['recipe']
    device = request['device']
    if device == 'cuda':  # As XLA multiplies there.
      torch.set_float32_matmul_precision('high')
    self.model = Model(request['vocabulary'], request['hidden'], cell,
                       self.recipe).to(device)
    self.params = list(self.model.parameters())
    self.optimizer = torch.optim.SGD(
        self.params, self.recipe['learning_rate'],
        weight_decay=self.recipe['weight_decay'])
    self.train, self.hidden = self._window(), self._zeros()

  def step(self):
    self.optimizer.zero_grad()
    loss, raw, self.hidden = self._loss(self.model, self.train, self.hidden)
    changes = (raw[1:] - raw[:-1]).pow(2).mean()
    (loss + self.recipe['slowness'] * changes).backward()
    nn.utils.clip_grad_norm_(self.params, self.recipe['clip_norm'])
    self.optimizer.step()

  def _loss(self, model, window, hidden):
    tokens, targets = window
    log_probs, raw, hidden = model(tokens, hidden)
    loss = functional.nll_loss(
        log_probs.view(-1, log_probs.shape[-1]), targets.view(-1))
    return loss, raw, hidden.detach()

  def _window(self):
    shape = self.recipe['bptt'], self.recipe['batch_size']
    return [torch.randint(0, self.request['vocabulary'], shape,
                          device=self.request['device']) for _ in range(2)]

  def _zeros(self):
    return torch.zeros(self.recipe['batch_size'], self.request['hidden'],
                       device=self.request['device'])


class Search(Training):
  """Beside the weights, alphas and their optimizer."""

  def __init__(self, request):
    super().__init__(request, SearchCell(request['hidden']))
    self.alphas = (1e-3 * torch.randn(
        _NODES * (_NODES + 1) // 2, len(CANDIDATES),
        device=request['device'])).requires_grad_()
    self.model.rnns[0].alphas = self.alphas
    self.alpha_optimizer = torch.optim.Adam(
        [self.alphas], 3e-3, weight_decay=1e-3)
    self.valid, self.valid_hidden = self._window(), self._zeros()

  def step(self):
    if self.request['order'] == 'second':
      self.alphas.grad = self._second_order()
    else:  # As published: gradients of the weights, too, which are not used.
      self.alpha_optimizer.zero_grad()
      loss, _, self.valid_hidden = self._loss(
          self.model, self.valid, self.valid_hidden)
      loss.backward()
    self.alpha_optimizer.step()
    super().step()

  def _second_order(self):
    """Through one virtual step; the Hessian by a central difference."""
    rate, clip = self.recipe['learning_rate'], self.recipe['clip_norm']
    loss, _, _ = self._loss(self.model, self.train, self.hidden)
    grads = torch.autograd.grad(loss, self.params)
    scale = _clip(grads, clip)
    self.model.rnns[0].alphas = None  # It would be copied.
    virtual_model = copy.deepcopy(self.model)
    self.model.rnns[0].alphas = virtual_model.rnns[0].alphas = self.alphas
    virtual = list(virtual_model.parameters())
    with torch.no_grad():
      for p, q, g in zip(self.params, virtual, grads):
        q -= rate * (g + self.recipe['weight_decay'] * p)
    loss, _, self.valid_hidden = self._loss(
        virtual_model, self.valid, self.valid_hidden)
    gradient, *vector = torch.autograd.grad(loss, [self.alphas, *virtual])
    _clip(vector, clip)
    radius = .01 / torch.cat([v.reshape(-1) for v in vector]).norm()
    ends = []
    for move in (radius, -2 * radius):
      self._move(vector, move)
      loss, _, _ = self._loss(self.model, self.train, self.hidden)
      ends.append(torch.autograd.grad(loss, self.alphas)[0])
    self._move(vector, radius)
    return gradient - rate * scale * (ends[0] - ends[1]) / (2 * radius)

  @torch.no_grad()
  def _move(self, vector, size):
    for p, v in zip(self.params, vector):
      p += size * v


def _mask(like, rate):
  """0, or 1 / keep."""
  return torch.empty_like(like).bernoulli_(1 - rate) / (1 - rate)


def _clip(grads, limit):
  """Shortens them in place; limit / length, which is not kept below 1."""
  scale = limit / (torch.cat([g.reshape(-1) for g in grads]).norm() + 1e-6)
  for g in grads:
    g.mul_(scale.clamp(max=1.))
  return scale


def language_step(request):
  """Request: genotype (None for the search), concat, hidden, vocabulary,
  recipe, device; order 'first' or 'second' of the search."""
  torch.manual_seed(0)
  made = Search(request) if request['genotype'] is None else Training(
      request, Cell(request['hidden'], request['genotype'],
                    request['concat']))
  return made.step, sum(p.numel() for p in made.params)


if __name__ == '__main__':
  torch_darts.serve(language_step)
