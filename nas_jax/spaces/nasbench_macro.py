"""Codes of NAS-Bench-Macro: one of three operations for each of 8 layers.

Reference: Su et al., Prioritized Architecture Sampling with Monto-Carlo Tree
Search, arXiv 2103.11922; xiusu/NAS-Bench-Macro.
"""

from collections.abc import Sequence

OPERATIONS = ('identity', 'inverted_3x3_3', 'inverted_5x5_6')
STAGES = (2, 3, 3)  # layers; the first of each halves the image


def parse(code: str | Sequence[int]) -> tuple[int, ...]:
  """Eight indices of `OPERATIONS`, from '22212220' or a sequence.

  Raises:
    ValueError: not such a code.
  """
  layers = sum(STAGES)
  if len(code) != layers or any(str(c) not in ('0', '1', '2') for c in code):
    raise ValueError(f'{code!r} is not a code of {layers} layers, each 0, 1 '
                     'or 2')
  return tuple(map(int, code))


def canonical(code: str | Sequence[int]) -> tuple[int, ...]:
  """Equal for codes of equal networks: identities after all else of a stage.

  The first layer of a stage stays: as identity it is a convolution.

  Raises:
    ValueError: see `parse`.
  """
  found, layers = (), parse(code)
  for size in STAGES:
    first, *rest = layers[len(found):len(found) + size]
    found += (first, *sorted(rest, key=lambda c: c == 0))
  return found
