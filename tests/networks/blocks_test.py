from concurrent import futures
import threading
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from nas_jax.networks import blocks
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import ops

_BATCH, _EVAL_BATCH = 6, 5
_KEEP = .5
_CELL = (('sep_conv_3x3', 0), ('skip_connect', 1),
         ('max_pool_3x3', 1), ('conv_1x1', 2))
_REDUCE = (('avg_pool_3x3', 0), ('skip_connect', 1))


def _net(cell=_CELL):
  return image.cifar_net(
      (cell, (2, 3), _REDUCE, (0, 2)), image_shape=(6, 6, 1), num_classes=3,
      num_cells=1, features=4, num_reductions=1, auxiliary=True,
      drop_path_keep=_KEEP)


def _noise(*shape, seed=0):
  return jnp.asarray(
      np.random.default_rng(seed).standard_normal(shape), jnp.float32)


class _Case(NamedTuple):
  net: graph.Graph
  programs: blocks.Programs
  variables: graph.Variables
  images: jax.Array
  cotangents: graph.Logits


@pytest.fixture(scope='module')
def case():
  net = _net()
  return _Case(
      net, blocks.compile_programs(net, _BATCH, _EVAL_BATCH),
      graph.init(jax.random.key(3), net), _noise(_BATCH, 6, 6, 1),
      graph.Logits(_noise(_BATCH, 3, seed=1), _noise(_BATCH, 3, seed=2)))


@pytest.fixture(scope='module')
def whole(case):
  """Logits, statistics and gradients of the network as one program."""
  model = graph.GraphNet(case.net)

  @jax.jit
  def run(variables, key, progress):
    def apply(params):
      return model.apply(
          {'params': params, 'batch_stats': variables.batch_stats},
          case.images, train=True, progress=progress, drop_key=key,
          mutable=['batch_stats'])
    logits, pullback, updates = jax.vjp(apply, variables.params, has_aux=True)
    return logits, updates['batch_stats'], *pullback(case.cotangents)

  return run


def _blocks(case, key, progress):
  logits, stats, pullbacks = blocks.forward(
      case.variables, case.programs, case.images, key, progress)
  return (logits, stats,
          *blocks.backward(case.programs, pullbacks, case.cotangents)[:2])


def _assert_close(expected, actual, tolerance):
  """Equal trees but for nodes that hold nothing."""
  strip = lambda tree: {
      k: v for k, v in tree.items() if jax.tree.leaves(v)}
  expected, actual = strip(expected), strip(actual)
  assert jax.tree.structure(expected) == jax.tree.structure(actual)
  for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(expected),
                          jax.tree.leaves(actual)):
    np.testing.assert_allclose(
        a, b, rtol=0, atol=tolerance * max(1., float(np.abs(a).max())),
        err_msg=jax.tree_util.keystr(path))


@pytest.mark.parametrize('progress', [0., 1.])
def test_blocks_compute_the_function_of_the_whole(case, whole, progress):
  key = jax.random.key(11)
  logits, stats, grads = whole(case.variables, key, progress)
  logits_b, stats_b, grads_b, squares = _blocks(case, key, progress)
  assert logits.auxiliary.shape == (_BATCH, 3)
  _assert_close(logits._asdict(), logits_b._asdict(), 2e-5)
  assert set(stats_b) == set(grads_b) == {n.name for n in case.net.nodes}
  _assert_close(stats, stats_b, 2e-5)
  _assert_close(grads, grads_b, 2e-4)
  np.testing.assert_allclose(
      sum(float(s) for s in squares),
      sum(float(np.sum(np.square(g))) for g in jax.tree.leaves(grads)),
      rtol=1e-4)


def test_paths_are_dropped_with_the_key(case):
  run = lambda seed, progress: np.asarray(blocks.forward(
      case.variables, case.programs, case.images, jax.random.key(seed),
      progress)[0].main)
  np.testing.assert_array_equal(run(1, 0.), run(2, 0.))
  np.testing.assert_array_equal(run(1, 1.), run(1, 1.))
  assert np.abs(run(1, 1.) - run(2, 1.)).max() > .01
  assert np.abs(run(1, 1.) - run(1, 0.)).max() > .01


def test_prediction_uses_the_running_statistics(case):
  images = _noise(_EVAL_BATCH, 6, 6, 1, seed=5)
  variables = case.variables._replace(batch_stats=jax.tree.map(
      lambda x: x + .3, case.variables.batch_stats))
  expected = jax.jit(lambda v: graph.GraphNet(case.net).apply(
      v._asdict(), images))(variables)
  assert expected.auxiliary is None
  np.testing.assert_allclose(
      expected.main, blocks.predict(variables, case.programs, images),
      atol=2e-5)


def test_networks_of_the_same_modules_share_their_programs(case):
  before = len(blocks._cache)
  assert before > 0
  programs = blocks.compile_programs(_net(), _BATCH, _EVAL_BATCH)
  assert len(blocks._cache) == before
  assert all(a is b for pair in zip(programs.train, case.programs.train)
             for a, b in zip(*pair))
  # The operations in another order are the same modules at the same shapes.
  other = _net((('max_pool_3x3', 1), ('conv_1x1', 1),
                ('sep_conv_3x3', 0), ('skip_connect', 2)))
  assert other != case.net
  blocks.compile_programs(other, _BATCH, _EVAL_BATCH)
  assert len(blocks._cache) == before


def test_another_batch_size_is_another_program(case):
  before = len(blocks._cache)
  builder = graph.Builder((2, 2, 1))
  net = builder.finish(builder.add(
      'classifier', image.Classifier(2), [builder.image], (2,)))
  blocks.compile_programs(net, 3, 4)
  assert len(blocks._cache) == before + 2
  blocks.compile_programs(net, 5, 4)
  assert len(blocks._cache) == before + 3


def _pool_net(size):
  builder = graph.Builder((size, size, 1))
  value = builder.add('pool', ops.Pool(features=1), [builder.image],
                      (size, size, 1))
  return builder.finish(value)


def _in_threads(count, fn):
  gate = threading.Barrier(count)

  def work(_):
    gate.wait()
    return fn()

  with futures.ThreadPoolExecutor(count) as pool:
    running = [pool.submit(work, i) for i in range(count)]
    futures.wait(running)
    return running


def test_threads_compile_a_program_once(monkeypatch):
  calls = []
  compile_ = blocks._compile
  monkeypatch.setattr(blocks, '_compile', lambda *args: (
      calls.append(args), time.sleep(.2), compile_(*args))[-1])
  done = _in_threads(4, lambda: blocks.compile_programs(_pool_net(9), 2, 2))
  assert len(calls) == 2  # for training and for prediction
  programs = [f.result() for f in done]
  assert all(p.train[0] is programs[0].train[0] for p in programs)


def test_a_failing_compile_raises_in_all_threads_and_is_tried_again(
    monkeypatch):
  calls = []

  def fail(*args):
    calls.append(args)
    time.sleep(.3)
    raise ValueError('no such program')

  compile_ = blocks._compile
  monkeypatch.setattr(blocks, '_compile', fail)
  done = _in_threads(3, lambda: blocks.compile_programs(_pool_net(11), 2, 2))
  assert [str(f.exception()) for f in done] == ['no such program'] * 3
  assert len(calls) == 1
  monkeypatch.setattr(blocks, '_compile', compile_)
  programs = blocks.compile_programs(_pool_net(11), 2, 2)
  y = blocks.predict(graph.Variables({'pool': {}}, {'pool': {}}), programs,
                     jnp.ones((2, 11, 11, 1)))
  np.testing.assert_array_equal(y, np.ones((2, 11, 11, 1)))


def test_forgotten_programs_are_compiled_again():
  net = _net()
  programs = blocks.compile_programs(net, _BATCH, _EVAL_BATCH)
  variables = graph.init(jax.random.key(0), net)
  images = _noise(_EVAL_BATCH, 6, 6, 1)
  before = blocks.predict(variables, programs, images)
  blocks.forget()
  assert not blocks._cache
  # What is in use goes on.
  assert (blocks.predict(variables, programs, images) == before).all()
  again = blocks.compile_programs(net, _BATCH, _EVAL_BATCH)
  assert (blocks.predict(variables, again, images) == before).all()
