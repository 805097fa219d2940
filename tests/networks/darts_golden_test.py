"""Against quark0/darts in PyTorch: values, gradients and statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import graph
from nas_jax.networks import ops
from nas_jax.networks import tables
from nas_jax.networks import zoo
from nas_jax.spaces import presets
from nas_jax.training import losses

_OPS = ('none', 'avg_pool_3x3', 'max_pool_3x3', 'skip_connect', 'sep_conv_3x3',
        'sep_conv_5x5', 'dil_conv_3x3', 'dil_conv_5x5')
_STYLE = ops.Style(padding='symmetric', initializer='torch')
_TOLERANCE = dict(rtol=1e-9, atol=1e-9)


@pytest.fixture(autouse=True)
def _double_precision():
  with jax.enable_x64(True):
    yield


def _images(x):
  return jnp.asarray(np.moveaxis(x, 1, -1))


def _kernel(x):
  """OIHW -> HWIO."""
  return jnp.asarray(x.transpose(2, 3, 1, 0))


def _norms(arrays, prefix, *keys):
  """Scale and bias, or mean and var."""
  names = {'scale': 'weight', 'bias': 'bias', 'mean': 'running_mean',
           'var': 'running_var'}
  return {k: jnp.asarray(arrays[f'{prefix}.{names[k]}']) for k in keys}


def _module(arrays, at, operation, keys):
  """One collection of an operation: `keys` names what is in its norms.

  Args:
    arrays: PyTorch's name -> array.
    at: prefix of the operation's names.
    operation: name in the table of DARTS; skip_connect is a reduction, conv
      a 1x1 convolution.
    keys: ('scale', 'bias'), or ('mean', 'var') for the statistics.
  """
  params = 'scale' in keys
  if operation == 'skip_connect':
    norm = {'BatchNorm_0': _norms(arrays, f'{at}bn', *keys)}
    return norm | ({
        f'Convolution_{i}': {
            'kernel': _kernel(arrays[f'{at}conv_{i + 1}.weight'])}
        for i in range(2)} if params else {})
  if operation == 'conv':
    norm = {'BatchNorm_0': _norms(arrays, f'{at}op.2', *keys)}
    return norm | ({'Convolution_0': {
        'kernel': _kernel(arrays[f'{at}op.1.weight'])}} if params else {})
  tree = {}
  for i in range(2 if operation.startswith('sep') else 1):
    tree[f'BatchNorm_{i}'] = _norms(arrays, f'{at}op.{4 * i + 3}', *keys)
    if params:
      tree[f'depthwise_{i}'] = jnp.asarray(
          arrays[f'{at}op.{4 * i + 1}.weight'][:, 0].transpose(1, 2, 0))
      tree[f'pointwise_{i}'] = _kernel(
          arrays[f'{at}op.{4 * i + 2}.weight'])[0, 0]
  return tree


def _with(arrays, prefix):
  return {k.removeprefix(prefix): v for k, v in arrays.items()
          if k.startswith(prefix)}


def _assert_trees_equal(found, expected):
  assert jax.tree.structure(found) == jax.tree.structure(expected)
  for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(found),
                          jax.tree.leaves(expected)):
    np.testing.assert_allclose(
        x, y, **_TOLERANCE, err_msg=jax.tree_util.keystr(path))


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('name', _OPS)
def test_an_operation_equals_the_reference(shared_data, name, stride):
  golden = np.load(shared_data / 'golden' / 'darts_ops.npz')
  case = _with({k: golden[k] for k in golden}, f'{name}/stride{stride}/')
  before, after, grads = (
      _with(case, p) for p in ('state_before/', 'state_after/', 'grad/'))
  x, cotangent = _images(case['x']), _images(case['cotangent'])
  module = tables.DARTS[name](
      features=x.shape[-1], stride=stride, style=_STYLE)
  has_state = bool(before)
  variables = {} if not has_state else {
      'params': _module(before, '', name, ('scale', 'bias')),
      'batch_stats': _module(before, '', name, ('mean', 'var'))}

  @jax.jit
  def run(params, x):
    rest = {k: v for k, v in variables.items() if k != 'params'}
    y, pullback, updates = jax.vjp(
        lambda params, x: module.apply(
            {'params': params, **rest}, x, True, mutable=['batch_stats']),
        params, x, has_aux=True)
    return y, pullback(cotangent), updates

  y, (dparams, dx), updates = run(variables.get('params', {}), x)
  np.testing.assert_allclose(y, _images(case['y_train']), **_TOLERANCE)
  if 'dx' in case:
    np.testing.assert_allclose(dx, _images(case['dx']), **_TOLERANCE)
  else:
    assert name == 'none' and not np.any(dx)
  if has_state:
    _assert_trees_equal(dparams, _module(grads, '', name, ('scale', 'bias')))
    _assert_trees_equal(updates['batch_stats'],
                        _module(after, '', name, ('mean', 'var')))
    variables = {**variables, **updates}
  y = jax.jit(lambda x: module.apply(variables, x, False))(x)
  np.testing.assert_allclose(y, _images(case['y_eval']), **_TOLERANCE)


def _collection(arrays, net, keys):
  """One collection of a whole network from PyTorch's names."""
  params = 'scale' in keys
  tree = {}
  for node in net.nodes:
    cell, _, scope = node.name.partition('_')
    kind = type(node.module).__name__
    at = f'cells.{cell.removeprefix("cell")}.'
    if node.name == 'stem':
      tree['stem'] = {'BatchNorm_0': _norms(arrays, 'stem.1', *keys)}
      if params:
        tree['stem']['Convolution_0'] = {
            'kernel': _kernel(arrays['stem.0.weight'])}
    elif node.name == 'classifier':
      tree['classifier'] = _dense(arrays, 'classifier') if params else {}
    elif node.name == 'auxiliary':
      tree['auxiliary'] = {
          f'BatchNorm_{i}': _norms(
              arrays, f'auxiliary_head.features.{j}', *keys)
          for i, j in enumerate((3, 6))}
      if params:
        tree['auxiliary'] |= _dense(arrays, 'auxiliary_head.classifier')
        tree['auxiliary'] |= {
            f'Convolution_{i}': {'kernel': _kernel(
                arrays[f'auxiliary_head.features.{j}.weight'])}
            for i, j in enumerate((2, 5))}
    elif scope.startswith('enter'):
      tree[node.name] = _module(
          arrays, f'{at}preprocess{scope[-1]}.',
          'conv' if kind == 'Conv' else 'skip_connect', keys)
    elif scope.count('_') > 1:
      number, edge, operation = scope.removeprefix('node').split('_', 2)
      at += f'_ops.{2 * int(number) + int(edge)}.'
      tree[node.name] = {} if 'pool' in operation else _module(
          arrays, at, operation, keys)
    else:
      tree[node.name] = {}
  return tree


def _dense(arrays, at):
  return {'Dense_0': {'kernel': jnp.asarray(arrays[f'{at}.weight'].T),
                      'bias': jnp.asarray(arrays[f'{at}.bias'])}}


@pytest.mark.parametrize('name', ['DARTS_V1', 'DARTS_V2'])
def test_a_network_equals_the_reference(shared_data, name):
  golden = np.load(shared_data / 'golden' / f'network_{name}_c4_l5.npz')
  golden = {k: golden[k] for k in golden}
  before, after, grads = (
      _with(golden, p) for p in ('state_before/', 'state_after/', 'grad/'))
  net = zoo.build(presets.load(name), features=4, num_cells=5, auxiliary=True)
  model = graph.GraphNet(net)
  params = _collection(before, net, ('scale', 'bias'))
  stats = _collection(before, net, ('mean', 'var'))
  x, y = _images(golden['x']), jnp.asarray(golden['y'])

  @jax.jit
  def step(params):
    def loss(params):
      logits, updates = model.apply(
          {'params': params, 'batch_stats': stats}, x, train=True,
          mutable=['batch_stats'])
      value, _ = losses.objective(
          logits, y, smoothing=0., auxiliary_weight=.4)
      return value, (logits, updates['batch_stats'])
    return jax.value_and_grad(loss, has_aux=True)(params)

  (loss, (logits, updates)), dparams = step(params)
  np.testing.assert_allclose(logits.main, golden['logits_train'], **_TOLERANCE)
  np.testing.assert_allclose(
      logits.auxiliary, golden['aux_train'], **_TOLERANCE)
  np.testing.assert_allclose(loss, golden['loss'], **_TOLERANCE)
  _assert_trees_equal(dparams, _collection(grads, net, ('scale', 'bias')))
  expected = _collection(after, net, ('mean', 'var'))
  stats |= updates
  _assert_trees_equal(stats, expected)
  logits = jax.jit(lambda: model.apply(
      {'params': params, 'batch_stats': stats}, x))()
  np.testing.assert_allclose(logits.main, golden['logits_eval'], **_TOLERANCE)
