"""A search that is built to collapse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax import descent
from nas_jax.supernets import bilevel
from nas_jax.supernets import darts
from nas_jax.supernets import derive
from nas_jax.supernets import engine as engines
from nas_jax.supernets import monitor
from nas_jax.supernets import relax
from nas_jax.training import recipes
from nas_jax.training import steps

_NUM_STEPS = 20
_BATCH = 16


def _batches(step):
  """Dark and bright images under noise."""
  while True:
    rng = np.random.default_rng(step)
    step += 1
    pair = []
    for _ in range(2):
      labels = rng.integers(0, 2, _BATCH).astype(np.int32)
      images = rng.normal(
          np.where(labels, 168, 88)[:, None, None, None], 48,
          (_BATCH, 8, 8, 1)).clip(0, 255).astype(np.uint8)
      pair.append((jnp.asarray(images), jnp.asarray(labels)))
    yield tuple(pair)


@pytest.mark.slow
def test_a_search_in_which_only_skips_pass_anything_on_is_warned_of():
  spec = darts.uniform(('noise', 'skip_connect'), nodes=2)
  candidates = {kind: getattr(spec, kind) for kind in darts.KINDS}
  shapes = {kind: darts.gate_shapes(spec)[kind] for kind in darts.KINDS}
  net = darts.build(spec, image_shape=(8, 8, 1), num_classes=2, features=4,
                    num_cells=3)
  recipe = recipes.Recipe(
      epochs=1, batch_size=_BATCH, learning_rate=.05, schedule='constant',
      crop_padding=0, flip=False)
  search = bilevel.make(
      engines.make(net, recipe, steps.Task((8, 8, 1), (.5,), (.25,)),
                   rows=darts.rows),
      recipe,
      bilevel.Relaxation(lambda key, alphas, values: relax.softmax(alphas)),
      shapes, lambda alphas: derive.darts(alphas, candidates),
      steps_per_epoch=_NUM_STEPS, settings=bilevel.Settings(learning_rate=.1))

  state, genotype, _ = descent.descend(
      jax.random.key(0), search, _batches, num_steps=_NUM_STEPS)
  assert derive.num_skips(genotype) == {'normal': 4, 'reduce': 4}
  assert (np.asarray(state.search.alphas['normal'])[:, 1] > 0).all()
  counts = monitor.census(
      relax.softmax(state.search.alphas), candidates, genotype)
  assert monitor.warning(counts) == (
      'The search seems to collapse: 4 of 4 operations of the derived normal '
      'cell are skips.')
