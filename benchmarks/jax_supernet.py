"""A search step of this project's DARTS, timed in a process of its own.

Run by supernet.py; see answers.py. The step is that of a search, with the
bookkeeping of its losses.
"""

import dataclasses
import time

import answers
import jax
import numpy as np

from nas_jax import memory
from nas_jax.networks import graph
from nas_jax.supernets import bilevel
from nas_jax.supernets import darts
from nas_jax.supernets import engine
from nas_jax.supernets import relax
from nas_jax.training import recipes
from nas_jax.training import steps

_IMAGE = (32, 32, 3)


def search_step(request):
  """Request: features, num_cells, batch_size, order, execution, dtype, remat.
  """
  kept = memory.keep_freed_memory()
  begin = time.perf_counter()
  spec = darts.SPECS['darts']
  dtype = None if request['dtype'] == 'float32' else request['dtype']
  net = darts.build(
      spec, image_shape=_IMAGE, num_classes=10, features=request['features'],
      num_cells=request['num_cells'],
      style=dataclasses.replace(darts.STYLE, dtype=dtype),
      remat=request.get('remat', False))
  recipe = recipes.Recipe(
      epochs=50, batch_size=request['batch_size'], learning_rate=.025,
      schedule='constant', weight_decay=3e-4, crop_padding=0, flip=False,
      eval_batch_size=request['batch_size'])
  made = engine.make(
      net, recipe, steps.Task(_IMAGE, (.5,) * 3, (.25,) * 3),
      rows=darts.rows, execution=request['execution'])
  shapes = darts.gate_shapes(spec)
  search = bilevel.make(
      made, recipe,
      bilevel.Relaxation(lambda key, alphas, values: relax.softmax(alphas)),
      {kind: shapes[kind] for kind in darts.KINDS}, lambda alphas: alphas,
      steps_per_epoch=1000, settings=bilevel.Settings(order=request['order']))
  rng = np.random.default_rng(0)
  batches = [jax.device_put((
      rng.integers(0, 256, (request['batch_size'], *_IMAGE), np.uint8),
      rng.integers(0, 10, request['batch_size']).astype(np.int32)))
             for _ in range(2)]
  key = jax.random.key(0)
  state = search.init(key)

  def step():
    nonlocal state
    state, _ = search.update(jax.random.fold_in(key, state.step), state,
                             *batches)
    jax.block_until_ready(state)

  return answers.Model(
      step, {'params': graph.num_params(net), 'freed_memory_kept': kept,
             'build_seconds': round(time.perf_counter() - begin, 1),
             'device': jax.devices()[0].device_kind}, _peak())


def _peak():
  """None on a CPU: the memory of the process then."""
  device = jax.devices()[0]
  if device.platform == 'cpu':
    return None
  return lambda: device.memory_stats()['peak_bytes_in_use']


if __name__ == '__main__':
  answers.serve(search_step)
