"""The network structure code of BlockQNN: a block as a tuple of 5-tuples.

A layer is (index, type, kernel size, predecessor 1, predecessor 2). Layers
are numbered from 1; predecessor 0 is the input of the block.

Reference: Zhong et al., Practical Block-wise Neural Network Architecture
  Generation, arXiv 1708.05552, sec. 3.1.
"""

Layer = tuple[int, int, int, int, int]
Code = tuple[Layer, ...]

CONV, MAX_POOL, AVG_POOL, IDENTITY, ADD, CONCAT, TERMINAL = range(1, 8)

# Legal kernel sizes by type.
KERNELS = {
    CONV: (1, 3, 5),
    MAX_POOL: (1, 3),
    AVG_POOL: (1, 3),
    IDENTITY: (0,),
    ADD: (0,),
    CONCAT: (0,),
    TERMINAL: (0,),
}


def layers(code: Code) -> Code:
  """The layers without the terminal one, checked.

  Args:
    code: a block; the terminal layer may be left out.

  Raises:
    ValueError: a code that describes no block; says which layer is wrong.
  """
  for i, layer in enumerate(code, 1):
    if not (isinstance(layer, tuple) and len(layer) == 5):
      raise ValueError(f'layer {i} of the block is {layer!r}, expected '
                       '(index, type, kernel size, predecessor, predecessor)')
    index, kind, kernel, *reads = layer
    if index != i:
      raise ValueError(f'layer {i} of the block has index {index}')
    if kind not in KERNELS:
      raise ValueError(f'layer {i} has type {kind!r}, expected 1..7')
    if kernel not in KERNELS[kind]:
      raise ValueError(f'layer {i} has kernel size {kernel}, type {kind} has '
                       f'{" or ".join(map(str, KERNELS[kind]))}')
    if kind == TERMINAL and i < len(code):
      raise ValueError(f'layer {i} is terminal, but {len(code)} layers are '
                       'given')
    limit = 0 if kind == TERMINAL else i - 1
    for j, reads_ in enumerate(reads):
      if not 0 <= reads_ <= (limit if not j or kind in (ADD, CONCAT) else 0):
        raise ValueError(
            f'layer {i} of type {kind} has predecessors {reads[0]} and '
            f'{reads[1]}: it may read 0..{limit}, and only additions and '
            'concatenations have a second one')
  found = code[:-1] if code and code[-1][1] == TERMINAL else code
  if not found:
    raise ValueError(f'the block {code!r} has no layer')
  return found


def predecessors(layer: Layer) -> tuple[int, ...]:
  """What a layer reads; 0 is the input of the block."""
  _, kind, _, first, second = layer
  if kind == TERMINAL:
    return ()
  return (first, second) if kind in (ADD, CONCAT) else (first,)


def leaves(code: Code) -> tuple[int, ...]:
  """The layers that nobody reads; together they are the block's output.

  Raises:
    ValueError: see `layers`.
  """
  found = layers(code)
  read = {j for layer in found for j in predecessors(layer)}
  return tuple(layer[0] for layer in found if layer[0] not in read)


def density(code: Code, input_is_node: bool = False) -> float:
  """Edges divided by nodes: a term of BlockQNN's reward.

  Args:
    code: a block.
    input_is_node: whether the input of the block and the edges from it count;
      without them a block of one layer has no edge, hence no logarithm.

  Raises:
    ValueError: see `layers`.
  """
  found = layers(code)
  num_edges = sum(input_is_node or j > 0
                  for layer in found for j in predecessors(layer))
  return num_edges / (len(found) + input_is_node)
