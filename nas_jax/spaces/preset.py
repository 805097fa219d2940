"""What a published architecture is."""

from typing import Any, NamedTuple


class Preset(NamedTuple):
  """An architecture up to the size of its network.

  Attributes:
    family: of networks that build it, a key of networks/zoo.py's `FAMILIES`.
    genotype: what they read; nested tuples, hashable.
    sizes: ((kind of network, features, num_cells), ...) of the paper, where
      they differ from the family's.
  """
  family: str
  genotype: Any
  sizes: tuple[tuple[str, int | None, int | None], ...] = ()
