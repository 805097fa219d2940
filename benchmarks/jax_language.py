"""Steps of this project's language models, timed in a process of their own.

Run by language.py; see answers.py.
"""

import dataclasses
import time

import answers
import jax
import numpy as np

from nas_jax import memory
from nas_jax.networks import language
from nas_jax.spaces import recurrent as space
from nas_jax.supernets import recurrent_search
from nas_jax.training import language as training
from nas_jax.training import language_recipes


def language_step(request):
  """Request: genotype (None for the search), concat, hidden, vocabulary,
  recipe; order 'first' or 'second' of the search."""
  kept = memory.keep_freed_memory()
  begin = time.perf_counter()
  recipe = language_recipes.LanguageRecipe(**request['recipe'])
  sizes = language.Sizes(
      request['vocabulary'], request['hidden'], request['hidden'])
  rng = np.random.default_rng(0)
  windows = [jax.device_put(rng.integers(
      0, request['vocabulary'], (2, recipe.bptt, recipe.batch_size), np.int32))
             for _ in range(2)]
  make = _search if request['genotype'] is None else _training
  step, params = make(request, recipe, sizes, *windows)
  return answers.Model(
      step, {'params': params, 'freed_memory_kept': kept,
             'build_seconds': round(time.perf_counter() - begin, 1),
             'device': jax.devices()[0].device_kind}, _peak())


def _training(request, recipe, sizes, window, _):
  genotype = space.Chain(
      tuple(map(tuple, request['genotype'])), tuple(request['concat']))
  model = language.make('rnn_chain', genotype, sizes)
  trainer = training.make(model, recipe)
  key = jax.random.key(0)
  state, number = trainer.init(key), 0

  def step():
    nonlocal state, number
    state = trainer.step(key, state, *window, length=recipe.bptt,
                         number=number, rate=recipe.learning_rate)
    number += 1
    jax.block_until_ready(state)

  return step, model.num_params


def _search(request, recipe, sizes, train, validation):
  net = recurrent_search.network(sizes)
  search = recurrent_search.make(
      net, recipe,
      settings=dataclasses.replace(
          recurrent_search.SETTINGS, order=request['order']))
  key = jax.random.key(0)
  state = search.init(key)
  batches = [recurrent_search.Batch(
      *window, np.int32(recipe.bptt), np.bool_(False))
             for window in (train, validation)]

  def step():
    nonlocal state
    state, _ = search.update(
        jax.random.fold_in(key, state.step), state, *batches)
    jax.block_until_ready(state)

  return step, net.train.num_params


def _peak():
  """None on a CPU: the memory of the process then."""
  device = jax.devices()[0]
  if device.platform == 'cpu':
    return None
  return lambda: device.memory_stats()['peak_bytes_in_use']


if __name__ == '__main__':
  answers.serve(language_step)
