"""Networks of NAS with reinforcement learning: a tuple of layers.

A layer is (operation, strides, filters, inputs): an operation by name, the
strides (vertical, horizontal), the number of filters (0 for a pool, which
keeps its channels), and the layers it reads. Layers are numbered from 1; 0 is
the image, and no input at all stands for the image too.

Reference: Zoph, Le, Neural Architecture Search with Reinforcement Learning,
  arXiv 1611.01578, sec. 3.1 and 3.3.
"""

Layer = tuple[str, tuple[int, int], int, tuple[int, ...]]
Code = tuple[Layer, ...]

SIZES = (1, 3, 5, 7)
CONVOLUTIONS = tuple(f'conv_{h}x{w}' for h in SIZES for w in SIZES)
POOLS = ('max_pool_2x2', 'max_pool_3x3', 'avg_pool_2x2', 'avg_pool_3x3')


def check(code: Code) -> None:
  """Looks for what cannot be built.

  Raises:
    ValueError: not such a tuple; says which layer is wrong.
  """
  if not code:
    raise ValueError('the network has no layer')
  for i, layer in enumerate(code, 1):
    if not (isinstance(layer, tuple) and len(layer) == 4):
      raise ValueError(f'layer {i} is {layer!r}, expected (operation, strides, '
                       'filters, inputs)')
    operation, strides, filters, inputs = layer
    if operation not in (*CONVOLUTIONS, *POOLS):
      raise ValueError(
          f'layer {i} is called {operation!r}, expected conv_HxW with H and W '
          f'in {SIZES} or one of {", ".join(POOLS)}')
    if not (isinstance(strides, tuple) and len(strides) == 2
            and all(isinstance(s, int) and s >= 1 for s in strides)):
      raise ValueError(f'layer {i} has strides {strides!r}, expected two '
                       'positive numbers (vertical, horizontal)')
    if operation in POOLS and filters:
      raise ValueError(f'layer {i} is a pool, which has no filters, got '
                       f'{filters}')
    if operation in POOLS and strides[0] != strides[1]:
      raise ValueError(f'layer {i} is a pool with strides {strides}, expected '
                       'two equal ones')
    if operation in CONVOLUTIONS and not (
        isinstance(filters, int) and filters >= 1):
      raise ValueError(f'layer {i} has {filters!r} filters, expected at '
                       'least 1')
    if not isinstance(inputs, tuple) or any(
        not isinstance(j, int) or not 0 <= j < i for j in inputs):
      raise ValueError(f'layer {i} reads {inputs!r}, expected a tuple of '
                       f'0..{i - 1}')
    if len(set(inputs)) != len(inputs):
      raise ValueError(f'layer {i} reads a layer twice: {inputs!r}')


def unread(code: Code) -> tuple[int, ...]:
  """The layers that no other reads, ascending: what the classifier reads."""
  read = {j for _, _, _, inputs in code for j in inputs}
  return tuple(i for i in range(1, len(code) + 1) if i not in read)


def dense(code: Code) -> Code:
  """The same layers, each reading all before it; the first the image."""
  return tuple((*layer[:3], tuple(range(1, i)) or (0,))
               for i, layer in enumerate(code, 1))


def without_skips(code: Code) -> Code:
  """The same layers, each reading the one before it."""
  return tuple((*layer[:3], (i - 1,)) for i, layer in enumerate(code, 1))
