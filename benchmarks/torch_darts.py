"""The networks and operations of DARTS in PyTorch, to compare with.

Run by benchmarks in an environment of its own, as a process that answers
requests (answers.py). It imports nothing of nas_jax.
"""

import answers
import torch
from torch import nn
from torch.nn import functional

_BN = dict(eps=1e-5, momentum=0.1)


class SeparableConv(nn.Sequential):

  def __init__(self, channels, size, stride, repeats, dilation, affine=True):
    layers = []
    for i in range(repeats):
      layers += [
          nn.ReLU(), nn.Conv2d(
              channels, channels, size, stride if i == 0 else 1,
              dilation * (size // 2), dilation, channels, bias=False),
          nn.Conv2d(channels, channels, 1, bias=False),
          norm(channels, affine)]
    super().__init__(*layers)


class ReLUConvBN(nn.Sequential):

  def __init__(self, inputs, outputs, affine=True):
    super().__init__(nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False),
                     norm(outputs, affine))


class FactorizedReduce(nn.Module):

  def __init__(self, inputs, outputs, affine=True):
    super().__init__()
    self.first = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
    self.second = nn.Conv2d(inputs, outputs // 2, 1, 2, bias=False)
    self.norm = norm(outputs, affine)

  def forward(self, x):
    x = functional.relu(x)
    return self.norm(torch.cat(
        [self.first(x), self.second(x[:, :, 1:, 1:])], 1))


class Zero(nn.Module):

  def __init__(self, stride):
    super().__init__()
    self.stride = stride

  def forward(self, x):
    return x[:, :, ::self.stride, ::self.stride] * 0.


def norm(channels, affine=True):
  return nn.BatchNorm2d(channels, affine=affine, **_BN)


def operation(name, channels, stride, affine=True):
  size = int(name[-1]) if name[-1].isdigit() else 0
  if name == 'none':
    return Zero(stride)
  if name == 'skip_connect':
    return nn.Identity() if stride == 1 else FactorizedReduce(
        channels, channels, affine)
  if name.startswith('max_pool'):
    return nn.MaxPool2d(size, stride, size // 2)
  if name.startswith('avg_pool'):
    return nn.AvgPool2d(size, stride, size // 2, count_include_pad=False)
  if name.startswith('sep_conv'):
    return SeparableConv(channels, size, stride, 2, 1, affine)
  return SeparableConv(channels, size, stride, 1, 2, affine)


class Cell(nn.Module):

  def __init__(self, edges, concat, inputs0, inputs1, channels, reduction,
               reduced):
    super().__init__()
    self.enter0 = (FactorizedReduce if reduced else ReLUConvBN)(
        inputs0, channels)
    self.enter1 = ReLUConvBN(inputs1, channels)
    self.sources, self.concat = [e[1] for e in edges], concat
    self.ops = nn.ModuleList([
        operation(name, channels, 2 if reduction and source < 2 else 1)
        for name, source in edges])

  def forward(self, older, newer):
    states = [self.enter0(older), self.enter1(newer)]
    for i in range(0, len(self.ops), 2):
      a, b = (self.ops[j](states[self.sources[j]]) for j in (i, i + 1))
      states.append(a + b)
    return torch.cat([states[i] for i in self.concat], 1)


class Network(nn.Module):

  def __init__(self, genotype, features, num_cells, num_classes=10):
    super().__init__()
    channels = 3 * features
    self.stem = nn.Sequential(
        nn.Conv2d(3, channels, 3, padding=1, bias=False), norm(channels))
    older, newer, reduced = channels, channels, False
    self.cells = nn.ModuleList()
    for i in range(num_cells):
      reduction = i in (num_cells // 3, 2 * num_cells // 3)
      features *= 2 if reduction else 1
      kind = 'reduce' if reduction else 'normal'
      edges, concat = genotype[kind], genotype[f'{kind}_concat']
      self.cells.append(
          Cell(edges, concat, older, newer, features, reduction, reduced))
      older, newer, reduced = newer, len(concat) * features, reduction
    self.classifier = nn.Linear(newer, num_classes)

  def forward(self, x):
    older = newer = self.stem(x)
    for cell in self.cells:
      older, newer = newer, cell(older, newer)
    return self.classifier(newer.mean((2, 3)))


def network_step(request):
  """One step of the recipe of DARTS, without augmentation."""
  device, layout = request['device'], memory_format(request)
  torch.manual_seed(0)
  model = Network(request['genotype'], request['features'],
                  request['num_cells']).to(device).to(memory_format=layout)
  optimizer = torch.optim.SGD(model.parameters(), .025, .9, weight_decay=3e-4)
  x = torch.randn(request['batch_size'], 3, 32, 32, device=device).contiguous(
      memory_format=layout)
  y = torch.randint(0, 10, (request['batch_size'],), device=device)
  amp = torch.autocast(device, torch.bfloat16,
                       enabled=request.get('dtype') == 'bfloat16')

  def step():
    optimizer.zero_grad()
    with amp:
      loss = functional.cross_entropy(model(x), y)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.)
    optimizer.step()

  return step, sum(p.numel() for p in model.parameters())


def operation_step(request):
  """Forward and backward of one operation."""
  layout, size = memory_format(request), request['size']
  torch.manual_seed(0)
  module = operation(request['operation'], request['features'],
                     request['stride']).to(memory_format=layout)
  x = torch.randn(request['batch_size'], request['features'], size, size)
  x = x.contiguous(memory_format=layout).requires_grad_()
  cotangent = torch.randn_like(module(x))

  def step():
    x.grad = None
    module.zero_grad()
    module(x).backward(cotangent)

  return step, sum(p.numel() for p in module.parameters())


def memory_format(request):
  return (torch.channels_last if request['layout'] == 'channels_last' else
          torch.contiguous_format)


def serve(make):
  """Answers the requests; `make(request)` is a step and its parameters."""
  def model(request):
    device = request.setdefault('device', 'cpu')
    step, params = make(request)

    def finished_step():
      step()
      if device == 'cuda':
        torch.cuda.synchronize()

    return answers.Model(
        finished_step, {'params': params, 'torch': torch.__version__,
                        'threads': torch.get_num_threads()},
        torch.cuda.max_memory_allocated if device == 'cuda' else None)

  answers.serve(model)


if __name__ == '__main__':
  serve(lambda request: (operation_step if 'operation' in request else
                         network_step)(request))
