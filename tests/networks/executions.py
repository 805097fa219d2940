"""One check for all families: both executions of a network agree."""

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.networks import blocks
from nas_jax.networks import graph

_BATCH = 6


def check(net: graph.Graph, num_classes: int) -> None:
  """A training pass as one program and node by node.

  Logits, batch statistics and gradients are finite and equal, and so are
  predictions with the running statistics. The network must not draw anything.
  """
  rng = np.random.default_rng(0)
  images = jnp.asarray(
      rng.standard_normal((_BATCH, *net.image_shape)), jnp.float32)
  weights = jnp.asarray(rng.standard_normal((_BATCH, num_classes)), jnp.float32)
  variables = graph.init(jax.random.key(1), net)
  model = graph.GraphNet(net)

  @jax.jit
  def whole(variables):
    def apply(params):
      logits, updates = model.apply(
          variables._replace(params=params)._asdict(), images, train=True,
          mutable=['batch_stats'])
      return logits.main, updates['batch_stats']
    logits, pullback, stats = jax.vjp(apply, variables.params, has_aux=True)
    predicted = model.apply(variables._asdict(), images).main
    return logits, stats, pullback(weights)[0], predicted

  programs = blocks.compile_programs(net, _BATCH, _BATCH)
  logits, stats, pullbacks = blocks.forward(
      variables, programs, images, jax.random.key(2), 0.)
  grads, *_ = blocks.backward(
      programs, pullbacks, graph.Logits(weights, None))
  predicted = blocks.predict(variables, programs, images)
  expected = whole(variables)
  assert logits.main.shape == (_BATCH, num_classes)
  actual = logits.main, stats, grads, predicted
  for name, a, b in zip(('logits', 'statistics', 'gradients', 'predictions'),
                        map(_flat, expected), map(_flat, actual)):
    assert a.keys() == b.keys(), name
    for path in a:
      assert np.isfinite(a[path]).all(), (name, path)
      np.testing.assert_allclose(
          a[path], b[path], rtol=0, err_msg=f'{name} {path}',
          atol=2e-4 * max(1., float(np.abs(a[path]).max())))


def num_params(net: graph.Graph, node: str) -> int:
  """Of one node."""
  return sum(x.size for x in jax.tree.leaves(graph.shapes(net).params[node]))


def _flat(tree) -> dict[str, jax.Array]:
  return {jax.tree_util.keystr(path): leaf
          for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
