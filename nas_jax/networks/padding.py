"""Where windows of convolutions and pools lie, and how large outputs are."""

from collections.abc import Sequence

from jax import lax

PADDINGS = ('same', 'symmetric', 'valid')
Pads = list[tuple[int, int]]


def pads(
    lengths: Sequence[int], sizes: Sequence[int], strides: Sequence[int],
    dilation: int, padding: str | Sequence[tuple[int, int]],
) -> Pads:
  """(before, after) of each image axis.

  Args:
    lengths: pixels of each axis.
    sizes: of the window along each axis.
    strides: along each axis.
    dilation: of the window.
    padding: 'same' as in TensorFlow, where a stride of 2 on an even number of
      pixels pads one pixel less in front than behind; 'symmetric' as in
      PyTorch with (size - 1) * dilation // 2 on both sides; 'valid'; or the
      pads themselves.

  Raises:
    ValueError: none of these.
  """
  spans = [(size - 1) * dilation + 1 for size in sizes]
  if not isinstance(padding, str):
    return [tuple(pair) for pair in padding]
  if padding == 'symmetric':
    return [(span // 2, span // 2) if size % 2 else
            ((span - 1) // 2, (span - 1) // 2)
            for span, size in zip(spans, sizes)]
  if padding in ('same', 'valid'):
    return lax.padtype_to_pads(lengths, spans, strides, padding.upper())
  raise ValueError(
      f'padding is {padding!r}, expected one of {", ".join(PADDINGS)}')


def steps(
    lengths: Sequence[int], sizes: Sequence[int], strides: Sequence[int],
    dilation: int, pads_: Pads,
) -> list[int]:
  """How many windows fit along each axis."""
  return [
      (length + before + after - (size - 1) * dilation - 1) // stride + 1
      for length, size, stride, (before, after) in zip(
          lengths, sizes, strides, pads_)]
