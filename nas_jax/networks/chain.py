"""Networks of NAS with reinforcement learning: layers with skip connections.

Reference: Zoph, Le, Neural Architecture Search with Reinforcement Learning,
  arXiv 1611.01578, sec. 3.3 and 4.1, appendix A.
"""

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import knobs
from nas_jax.networks import ops
from nas_jax.networks import ops_rl
from nas_jax.networks import tables
from nas_jax.spaces import chain_code

# The genotype says all sizes. Initial weights are not published.
_STYLE = ops.Style(initializer='he_fan_in')
DEFAULTS = dict(cifar=graph.Defaults(None, None, _STYLE))


def build(
    genotype: chain_code.Code,
    *,
    network: str = 'cifar',
    image_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    features: None = None,
    num_cells: None = None,
    auxiliary: bool = False,
    drop_path_keep: float = 1.,
    dropout_keep: float = 1.,
    style: ops.Style = _STYLE,
) -> graph.Graph:
  """Layers of convolution, norm and ReLU that read any earlier ones.

  Several inputs are concatenated on the channels in the order in which they
  are named, the smaller ones zero-padded to the largest. A layer without
  input reads the image. The layers that no other reads are concatenated in
  the same way and classified.

  Args:
    genotype: see chain_code.py.
    network: 'cifar', the only one there is.
    image_shape: (H, W, C).
    num_classes: K.
    features: not a choice of this family.
    num_cells: not a choice of this family.
    auxiliary: not in this family.
    drop_path_keep: not in this family.
    dropout_keep: probability to keep a feature before the classifier (not in
      the paper).
    style: shared settings.

  Raises:
    ValueError: a wrong genotype, or what the family does not have.
  """
  chain_code.check(genotype)
  knobs.check(
      'nas_rl', features=features, num_cells=num_cells, takes=(),
      auxiliary=auxiliary, drop_path_keep=drop_path_keep,
      dropout_keep=dropout_keep)
  del network
  builder = graph.Builder(image_shape, style)
  values = [builder.image]

  def join(name, sources):
    found = [values[i] for i in sources]
    if len(found) == 1:
      return found[0]
    if len({v.size for v in found}) == 1:
      return builder.concat(name, found)
    return builder.add(name, ops_rl.PadConcat(), found)

  for i, (operation, strides, filters, inputs) in enumerate(genotype, 1):
    value = join(f'layer{i}_inputs', inputs or (0,))
    pool = operation in chain_code.POOLS
    module = tables.TABLES['nas_rl'][operation](
        features=value.channels if pool else filters,
        stride=strides[0] if pool else strides, style=style)
    shape = (*(-(-n // s) for n, s in zip(value.size, strides)),
             module.features)
    values.append(builder.add(f'layer{i}', module, [value], shape))
  output = builder.add(
      'classifier',
      image.Classifier(num_classes, dropout_keep, style, relu=False),
      [join('classifier_inputs', chain_code.unread(genotype))], (num_classes,))
  return builder.finish(output)
