"""What one gradient search of cells on images depends on, and its network."""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import dataclasses
import functools
import os
from typing import NamedTuple

import jax

from nas_jax import cost
from nas_jax import memory
from nas_jax import parallel
from nas_jax.data import images as image_data
from nas_jax.networks import graph
from nas_jax.supernets import bench201
from nas_jax.supernets import bilevel
from nas_jax.supernets import darts
from nas_jax.supernets import engine as engines
from nas_jax.supernets import methods
from nas_jax.supernets import relax
from nas_jax.training import classify
from nas_jax.training import recipes

Spec = darts.Spec | bench201.Spec
EIGENVALUES = ('off', 'lanczos', 'full')
_GIB = 2**30


class Plan(NamedTuple):
  """What a search depends on, beside its folder."""
  method: methods.Method
  context: methods.Context
  alphas: bilevel.Settings
  spec: Spec
  recipe: recipes.Recipe  # of the weights
  data: image_data.ImageData
  features: int
  num_cells: int
  seed: int
  eigenvalue: str = 'off'
  execution: str = 'auto'
  num_devices: int = 1
  remat: bool = False


class Network(NamedTuple):
  """A search network, ready to train."""
  spec: Spec
  candidates: Mapping[str, Sequence[Sequence[str]]]
  engine: engines.Engine
  pick: Callable[[relax.Alphas], engines.Engine] | None


def build(plan: Plan) -> Network:
  """Compiles the search network; says before what memory it needs.

  Raises:
    ValueError: what does not fit together.
  """
  module = bench201 if isinstance(plan.spec, bench201.Spec) else darts
  print(memory_of(plan), flush=True)
  common = dict(
      recipe=plan.recipe,
      task=classify.task_of(plan.data, plan.recipe.standardise),
      rows=module.rows, num_devices=plan.num_devices)
  engine = engines.make(graph_of(plan), execution=plan.execution, **common)
  pick = None
  if plan.method.samples and engines.in_blocks(plan.execution):
    pick = engines.one_path(engine, functools.partial(graph_of, plan), **common)
  candidates = {kind: getattr(plan.spec, kind) for kind in module.KINDS}
  return Network(plan.spec, candidates, engine, pick)


def graph_of(plan: Plan, chosen: Mapping[str, tuple[int, ...]] | None = None
             ) -> graph.Graph:
  """The search network.

  Args:
    plan: of the search.
    chosen: kind -> candidate of each edge, all if not given.

  Raises:
    ValueError: features that do not split, or an image too small.
  """
  module = bench201 if isinstance(plan.spec, bench201.Spec) else darts
  style = module.STYLE
  if plan.num_devices > 1:
    style = dataclasses.replace(style, axis_name=parallel.BATCH_AXIS)
  return module.build(
      plan.spec, image_shape=plan.data.train.images.shape[1:],
      num_classes=plan.data.num_classes, features=plan.features,
      num_cells=plan.num_cells, remat=plan.remat, style=style, chosen=chosen)


def memory_of(plan: Plan) -> str:
  """What a step needs, in a line, and what to change where it is too much."""
  size = plan.recipe.batch_size // plan.num_devices
  alone = graph_of(plan._replace(num_devices=1))  # Asks no other device.
  needed = cost.estimate_memory(alone, size).total
  stats = jax.local_devices()[0].memory_stats() or {}
  there = stats.get('bytes_limit') or (
      os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'))
  text = (f'search network of {plan.num_cells} cells: a step with {size} '
          f'images needs about {needed / _GIB:.2f} of {there / _GIB:.1f} GiB '
          'of memory')
  return text if needed < there else f'{text}. Choose {_advice(plan)}'


def memory_explained(plan: Plan) -> contextlib.AbstractContextManager[None]:
  """See `memory.explained`."""
  return memory.explained(
      f'{plan.recipe.batch_size} images at a time', _advice(plan))


def _advice(plan) -> str:
  remat = '' if plan.remat else '--remat, '
  return (f'{remat}a --search_batch_size below {plan.recipe.batch_size}, fewer '
          '--search_features, or more --num_devices')
