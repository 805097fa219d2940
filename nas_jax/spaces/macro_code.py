"""The macro space of ENAS: a tuple of rows, one for each layer.

Row k is an operation, a number 0..5, followed by k bits. The layer reads the
output of the layer before; bit j says that value j is joined to its output,
where value 0 is the stem's output and value j is that of row j - 1.

References:
  Pham et al., Efficient Neural Architecture Search via Parameter Sharing, arXiv
    1802.03268, sec. 2.3; melodyguan/enas src/cifar10/general_child.py.
"""

from collections.abc import Sequence

Row = tuple[int, ...]
Code = tuple[Row, ...]

OPERATIONS = (
    'conv_3x3', 'sep_conv_3x3', 'conv_5x5', 'sep_conv_5x5', 'avg_pool_3x3',
    'max_pool_3x3')


def check(code: Code) -> None:
  """Looks for what cannot be built.

  Raises:
    ValueError: not such a tuple; says which row is wrong.
  """
  if not code:
    raise ValueError('the network has no layer')
  for k, row in enumerate(code):
    if not isinstance(row, tuple) or len(row) != k + 1:
      raise ValueError(f'row {k} is {row!r}, expected a tuple of an operation '
                       f'and {k} bits')
    if row[0] not in range(len(OPERATIONS)):
      raise ValueError(f'row {k} has operation {row[0]!r}, expected '
                       f'0..{len(OPERATIONS) - 1}')
    for j, bit in enumerate(row[1:]):
      if bit not in (0, 1):
        raise ValueError(f'bit {j} of row {k} is {bit!r}, expected 0 or 1')


def rows(flat: Sequence[int]) -> Code:
  """Rows from all numbers in one sequence, the form of the ENAS scripts.

  Raises:
    ValueError: the sequence ends within a row, or see `check`.
  """
  found, start = [], 0
  while start < len(flat):
    end = start + len(found) + 1
    if end > len(flat):
      raise ValueError(
          f'{len(flat)} numbers end within row {len(found)}; L rows have '
          'L (L + 1) / 2')
    found.append(tuple(flat[start:end]))
    start = end
  check(tuple(found))
  return tuple(found)


def skips(row: Row) -> tuple[int, ...]:
  """The values that a row joins to its output."""
  return tuple(j for j, bit in enumerate(row[1:]) if bit)


def pool_layers(num_layers: int) -> tuple[int, int]:
  """The rows after which all values are halved: L // 3 - 1, 2 (L // 3) - 1.

  Raises:
    ValueError: fewer than three layers.
  """
  if num_layers < 3:
    raise ValueError(f'two halvings need at least 3 layers, got {num_layers}')
  return num_layers // 3 - 1, 2 * (num_layers // 3) - 1
