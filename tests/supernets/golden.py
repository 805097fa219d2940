"""The search network of quark0/darts, with its arrays under our names."""

import jax.numpy as jnp
import numpy as np

from nas_jax.supernets import darts

_ORDER = darts.OPERATIONS  # of the reference's candidates


def load(path) -> dict[str, np.ndarray]:
  with np.load(path) as file:
    return dict(file)


def images(x):
  """NCHW -> NHWC."""
  return jnp.asarray(np.moveaxis(x, 1, -1))


def params(golden, net, prefix='state_before'):
  """The parameters of the graph, or of their momentum."""
  return _tree(golden, net, prefix, True)


def statistics(golden, net):
  """The running statistics of the graph."""
  return _tree(golden, net, 'state_before', False)


def _tree(golden, net, prefix, weights):
  get = lambda name: jnp.asarray(golden[f'{prefix}/{name}'])
  kernel = lambda name: get(name).transpose(2, 3, 1, 0)  # OIHW -> HWIO
  norm = lambda at: {} if weights else {
      'mean': get(f'{at}.running_mean'), 'var': get(f'{at}.running_var')}

  def conv(at):
    found = {'BatchNorm_0': norm(f'{at}.op.2')}
    if weights:
      found = {'Convolution_0': {'kernel': kernel(f'{at}.op.1.weight')}}
    return found

  def reduction(at):
    if not weights:
      return {'BatchNorm_0': norm(f'{at}.bn')}
    return {f'Convolution_{i}': {'kernel': kernel(f'{at}.conv_{i + 1}.weight')}
            for i in range(2)}

  def separable(at, repeats):
    found = {}
    for i in range(repeats):
      if weights:
        found[f'depthwise_{i}'] = get(
            f'{at}.op.{4 * i + 1}.weight')[:, 0].transpose(1, 2, 0)
        found[f'pointwise_{i}'] = kernel(f'{at}.op.{4 * i + 2}.weight')[0, 0]
      else:
        found[f'BatchNorm_{i}'] = norm(f'{at}.op.{4 * i + 3}')
    return found

  def edge(at, stride):
    found = {}
    for o, name in enumerate(_ORDER):
      here = f'{at}._ops.{o}'
      if name.startswith(('sep', 'dil')):
        found[name] = separable(here, 2 if name.startswith('sep') else 1)
      elif name == 'skip_connect' and stride == 2:
        found[name] = reduction(here)
    return found

  tree = {}
  for node in net.nodes:
    cell, _, scope = node.name.partition('_')
    at = f'cells.{cell.removeprefix("cell")}'
    if node.name == 'stem':
      tree['stem'] = {'Convolution_0': {
          'kernel': kernel('stem.0.weight')}, 'BatchNorm_0': {
              'scale': get('stem.1.weight'), 'bias': get('stem.1.bias')}
      } if weights else {'BatchNorm_0': norm('stem.1')}
    elif node.name == 'classifier':
      tree['classifier'] = {'Dense_0': {
          'kernel': get('classifier.weight').T,
          'bias': get('classifier.bias')}} if weights else {}
    elif scope.startswith('enter'):
      where = f'{at}.preprocess{scope[-1]}'
      tree[node.name] = (
          reduction if type(node.module).__name__ == 'FactorizedReduction'
          else conv)(where)
    elif scope.startswith('edge'):
      tree[node.name] = edge(
          f'{at}._ops.{scope.removeprefix("edge")}', node.module.stride)
    elif 'pool' in scope and not weights:
      state = int(scope.removeprefix('state').split('_')[0])
      first = darts.edges(4).index((state, max(state + 1, 2)))
      o = _ORDER.index(scope.split('_', 1)[1])
      tree[node.name] = {'BatchNorm_0': norm(f'{at}._ops.{first}._ops.{o}.1')}
    else:
      tree[node.name] = {}
  return tree
