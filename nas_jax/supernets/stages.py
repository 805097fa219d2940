"""The stages of P-DARTS: deeper networks with fewer candidates.

Each stage is a search of its own, with a fresh network and fresh alphas; at
its end the candidates with the smallest weights leave each edge. The last
stage ends with `derive.p_darts`.

Reference: Chen et al., P-DARTS, arXiv 1904.12760; chenxin061/pdarts.
"""

from collections.abc import Sequence
import dataclasses
from typing import NamedTuple

import numpy as np

from nas_jax.supernets import darts
from nas_jax.supernets import relax


class Stage(NamedTuple):
  """Settings of one search."""
  num_cells: int
  candidates: int  # per edge
  skip_dropout: float  # initial rate, see `schedules.skip_dropout`
  epochs: int = 25
  warmup_epochs: int = 10  # in which alphas are not trained


# Of the command for CIFAR-10; the paper has a first rate of 0.
CIFAR10 = (Stage(5, 8, .1), Stage(11, 5, .4), Stage(17, 3, .7))


def scaled(stages: Sequence[Stage], *, epochs: int,
           num_cells: Sequence[int]) -> tuple[Stage, ...]:
  """Shorter stages of other depths; the warm-up keeps its share.

  Raises:
    ValueError: no epoch after the warm-up, or a depth missing.
  """
  if epochs < 1 or len(num_cells) != len(stages):
    raise ValueError(
        f'expected at least 1 epoch and a depth for each of {len(stages)} '
        f'stages, got {epochs} and {tuple(num_cells)}')
  return tuple(stage._replace(
      num_cells=depth, epochs=epochs,
      warmup_epochs=epochs * stage.warmup_epochs // stage.epochs)
               for stage, depth in zip(stages, num_cells))


def narrow(spec: darts.Spec, alphas: relax.Alphas, keep: int) -> darts.Spec:
  """The candidates of the next stage: the `keep` largest of each edge.

  They stay in order; of equal ones the first leave.

  Args:
    spec: of this stage.
    alphas: at its end.
    keep: candidates per edge.

  Raises:
    ValueError: not fewer candidates, or none.
  """
  kinds = {}
  for kind in darts.KINDS:
    candidates = getattr(spec, kind)
    if not 0 < keep < len(candidates[0]):
      raise ValueError(f'keep must be 1 to {len(candidates[0]) - 1} of the '
                       f'{len(candidates[0])} candidates, got {keep}')
    rows = np.asarray(alphas[kind], np.float64)
    kinds[kind] = tuple(
        _largest(row, names, keep) for row, names in zip(rows, candidates))
  return dataclasses.replace(spec, **kinds)


def _largest(row: np.ndarray, names: tuple[str, ...], keep: int
             ) -> tuple[str, ...]:
  # Softmax keeps the order, so alphas are compared.
  leaving = np.argsort(row, kind='stable')[:len(names) - keep]
  return tuple(name for k, name in enumerate(names) if k not in leaving)
