"""Weights that a child takes over from its parent.

Reference: Real et al., Large-Scale Evolution of Image Classifiers,
  arXiv 1703.01041, sec. 3.4.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from nas_jax.networks import graph

Weights = dict[str, np.ndarray]  # by the path of a variable


def flatten(variables: graph.Variables) -> Weights:
  """Parameters and running statistics as arrays by name."""
  leaves = jax.tree_util.tree_leaves_with_path(variables._asdict())
  return {_name(path): np.asarray(leaf) for path, leaf in leaves}


def inherit(variables: graph.Variables, weights: Mapping[str, np.ndarray]
            ) -> tuple[graph.Variables, list[str]]:
  """The variables with those of equal name and shape replaced, bit by bit.

  Args:
    variables: of the child, newly drawn.
    weights: of the parent.

  Returns:
    The variables, and the names of what was inherited.
  """
  inherited = []

  def choose(path, leaf):
    name = _name(path)
    found = weights.get(name)
    if found is None or found.shape != leaf.shape:
      return leaf
    inherited.append(name)
    return jnp.asarray(found, leaf.dtype)

  tree = jax.tree_util.tree_map_with_path(choose, variables._asdict())
  return graph.Variables(**tree), inherited


def _name(path: tuple[Any, ...]) -> str:
  return '/'.join(str(part.key) for part in path)
