"""The search network of DARTS in PyTorch, to compare with.

Run like torch_darts.py, by supernet.py. A step is one of the search: the
gradient of the architecture on a validation batch with its step of Adam, then
a step of the weights on a training batch, without augmentation. Its parts are
those of quark0/darts (model_search.py, architect.py, train_search.py).
"""

import copy

import torch
from torch import nn
from torch.nn import functional
import torch_darts

OPERATIONS = (
    'none', 'max_pool_3x3', 'avg_pool_3x3', 'skip_connect', 'sep_conv_3x3',
    'sep_conv_5x5', 'dil_conv_3x3', 'dil_conv_5x5')
_NODES = 4
_DECAY, _MOMENTUM, _RATE, _CLIP = 3e-4, .9, .025, 5.


class MixedOp(nn.Module):

  def __init__(self, channels, stride):
    super().__init__()
    self.ops = nn.ModuleList()
    for name in OPERATIONS:
      op = torch_darts.operation(name, channels, stride, affine=False)
      if 'pool' in name:
        op = nn.Sequential(op, torch_darts.norm(channels, affine=False))
      self.ops.append(op)

  def forward(self, x, weights):
    return sum(w * op(x) for w, op in zip(weights, self.ops))


class Cell(nn.Module):

  def __init__(self, inputs0, inputs1, channels, reduction, reduced):
    super().__init__()
    enter = torch_darts.FactorizedReduce if reduced else (
        torch_darts.ReLUConvBN)
    self.enter0 = enter(inputs0, channels, affine=False)
    self.enter1 = torch_darts.ReLUConvBN(inputs1, channels, affine=False)
    self.edges = nn.ModuleList([
        MixedOp(channels, 2 if reduction and source < 2 else 1)
        for node in range(_NODES) for source in range(node + 2)])

  def forward(self, older, newer, weights):
    states, first = [self.enter0(older), self.enter1(newer)], 0
    for _ in range(_NODES):
      states.append(sum(
          self.edges[first + j](x, weights[first + j])
          for j, x in enumerate(states)))
      first += len(states) - 1
    return torch.cat(states[-_NODES:], 1)


class Network(nn.Module):
  """`alphas` are no parameters of it: weights of normal and reduction cells."""

  def __init__(self, features, num_cells, num_classes=10):
    super().__init__()
    channels = 3 * features
    self.stem = nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1, bias=False),
        torch_darts.norm(channels))
    older, newer, reduced = channels, channels, False
    self.cells, self.kinds = nn.ModuleList(), []
    for i in range(num_cells):
      reduction = i in (num_cells // 3, 2 * num_cells // 3)
      features *= 2 if reduction else 1
      self.cells.append(Cell(older, newer, features, reduction, reduced))
      self.kinds.append(int(reduction))
      older, newer, reduced = newer, _NODES * features, reduction
    self.classifier = nn.Linear(newer, num_classes)

  def forward(self, x, alphas):
    weights = [functional.softmax(a, -1) for a in alphas]
    older = newer = self.stem(x)
    for kind, cell in zip(self.kinds, self.cells):
      older, newer = newer, cell(older, newer, weights[kind])
    return self.classifier(newer.mean((2, 3)))


class Search:
  """Weights, architecture and their optimizers."""

  def __init__(self, request):
    self.request = request
    device, layout = request['device'], torch_darts.memory_format(request)
    torch.manual_seed(0)
    self.model = Network(request['features'], request['num_cells']).to(
        device).to(memory_format=layout)
    self.params = list(self.model.parameters())
    edges = sum(range(2, _NODES + 2))
    self.alphas = [
        (1e-3 * torch.randn(edges, len(OPERATIONS), device=device)
        ).requires_grad_() for _ in range(2)]
    self.optimizer = torch.optim.SGD(
        self.params, _RATE, _MOMENTUM, weight_decay=_DECAY)
    self.alpha_optimizer = torch.optim.Adam(
        self.alphas, 3e-4, (.5, .999), weight_decay=1e-3)
    self.virtual = copy.deepcopy(self.model) if (
        request.get('order') == 'second') else None
    self.train, self.valid = (self._batch(layout) for _ in range(2))

  def step(self):
    if self.virtual:
      gradient = self._second_order()
    elif self.request.get('lean'):
      gradient = torch.autograd.grad(
          self._loss(self.model, self.valid), self.alphas)
    else:  # As published: gradients of the weights, too, which are not used.
      gradient = None
      self.alpha_optimizer.zero_grad()
      self._loss(self.model, self.valid).backward()
    for alpha, g in zip(self.alphas, gradient or ()):
      alpha.grad = g
    self.alpha_optimizer.step()
    self.optimizer.zero_grad()
    loss = self._loss(self.model, self.train)
    if self.request.get('lean'):
      for p, g in zip(self.params, torch.autograd.grad(loss, self.params)):
        p.grad = g
    else:
      loss.backward()
    nn.utils.clip_grad_norm_(self.params, _CLIP)
    self.optimizer.step()

  def _second_order(self):
    """Through one virtual step; the Hessian by a central difference."""
    grads = torch.autograd.grad(
        self._loss(self.model, self.train), self.params)
    self.virtual.load_state_dict(self.model.state_dict())
    virtual = list(self.virtual.parameters())
    with torch.no_grad():
      for p, q, g in zip(self.params, virtual, grads):
        moment = self.optimizer.state[p].get('momentum_buffer')
        move = g + _DECAY * p
        q -= _RATE * (move if moment is None else move + _MOMENTUM * moment)
    found = torch.autograd.grad(
        self._loss(self.virtual, self.valid), self.alphas + virtual)
    gradient, vector = found[:len(self.alphas)], found[len(self.alphas):]
    radius = .01 / torch.cat([v.reshape(-1) for v in vector]).norm()
    ends = []
    for move in (radius, -2 * radius):
      self._move(vector, move)
      ends.append(torch.autograd.grad(
          self._loss(self.model, self.train), self.alphas))
    self._move(vector, radius)
    return [g - _RATE * (plus - minus) / (2 * radius)
            for g, plus, minus in zip(gradient, *ends)]

  @torch.no_grad()
  def _move(self, vector, size):
    for p, v in zip(self.params, vector):
      p += size * v

  def _loss(self, model, batch):
    x, y = batch
    with torch.autocast(self.request['device'], torch.bfloat16,
                        enabled=self.request.get('dtype') == 'bfloat16'):
      return functional.cross_entropy(model(x, self.alphas), y)

  def _batch(self, layout):
    size, device = self.request['batch_size'], self.request['device']
    x = torch.randn(size, 3, 32, 32, device=device)
    return (x.contiguous(memory_format=layout),
            torch.randint(0, 10, (size,), device=device))


def search_step(request):
  """Request: features, num_cells, batch_size, layout, device, dtype; order
  'first' or 'second'; lean, to leave out gradients that nobody uses."""
  search = Search(request)
  return search.step, sum(p.numel() for p in search.params)


if __name__ == '__main__':
  torch_darts.serve(search_step)
