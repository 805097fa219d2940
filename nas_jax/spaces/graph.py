"""The spaces of tabular benchmarks, whose cells are small graphs.

References:
  Dong, Yang, NAS-Bench-201, arXiv 2001.00326, sec. 2.
  Ying et al., NAS-Bench-101, arXiv 1902.09635, sec. 2.
"""

from nas_jax import base
from nas_jax.spaces import discrete
from nas_jax.spaces import nasbench201 as bench201


def nasbench201() -> base.Space:
  """The 15,625 cells of NAS-Bench-201: an operation for each of six edges.

  A genotype is the tuple of operations in the order of `nasbench201.EDGES`. A
  mutation gives one edge another operation.
  """
  return discrete.space([bench201.OPERATIONS] * len(bench201.EDGES))
