"""Networks of ENAS' macro space, as trained after the search.

Reference: Pham et al., Efficient Neural Architecture Search via Parameter
  Sharing, arXiv 1802.03268, sec. 2.3; melodyguan/enas
  src/cifar10/general_child.py and scripts/cifar10_macro_final.sh.
"""

from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import knobs
from nas_jax.networks import ops
from nas_jax.networks import tables
from nas_jax.spaces import macro_code

# features are those of the stem; they double at both halvings.
_STYLE = ops.Style(initializer='fan_in')
DEFAULTS = dict(cifar=graph.Defaults(96, None, _STYLE, dropout_keep=.5))


def build(
    genotype: macro_code.Code,
    *,
    network: str = 'cifar',
    image_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    features: int = 96,
    num_cells: None = None,
    auxiliary: bool = False,
    drop_path_keep: float = 1.,
    dropout_keep: float = .5,
    style: ops.Style = _STYLE,
    separable: bool = False,
) -> graph.Graph:
  """A stem and one layer per row; all values are halved after two of them.

  A layer is (ReLU, 1x1 convolution, norm), the operation in the same order;
  its output is concatenated behind the values that the row names, and a ReLU,
  1x1 convolution and norm bring back F channels. Where `macro_code.pool_layers`
  says so, F doubles and each value so far is halved by its own factorized
  reduction.

  Args:
    genotype: see macro_code.py; at least three rows.
    network: 'cifar', the only one there is.
    image_shape: (H, W, C).
    num_classes: K.
    features: F at first.
    num_cells: not a choice of this family.
    auxiliary: not in this family.
    drop_path_keep: not in this family.
    dropout_keep: probability to keep a feature before the classifier.
    style: shared settings.
    separable: whether operations 1 and 3 are separable. The published code
      trains plain convolutions of the same sizes in their place.

  Raises:
    ValueError: a wrong genotype, an image too small, or what the family does
      not have.

  Note: pools come after the 1x1 convolution, as in the network of the search;
  the published code cannot build them here. Of values halved but never read
  after that there are no parameters.
  """
  macro_code.check(genotype)
  pools = macro_code.pool_layers(len(genotype))
  knobs.check(
      'enas_macro', features=features, num_cells=num_cells,
      takes=('features',), auxiliary=auxiliary, drop_path_keep=drop_path_keep,
      dropout_keep=dropout_keep)
  del network
  image.check_size(image_shape, len(pools))
  builder = graph.Builder(image_shape, style)
  values = [builder.add(
      'stem', image.Stem(features, style), [builder.image],
      (*image_shape[:2], features))]
  for k, row in enumerate(genotype):
    operation = macro_code.OPERATIONS[row[0]]
    if not separable:
      operation = operation.removeprefix('sep_')
    shape = (*values[0].size, features)
    value = builder.add(
        f'layer{k}_{operation}', tables.TABLES['enas_macro'][operation](
            features=features, style=style), [values[-1]], shape)
    if k:
      joined = [values[j] for j in macro_code.skips(row)] + [value]
      if len(joined) > 1:
        value = builder.concat(f'layer{k}_skips', joined)
      value = builder.add(
          f'layer{k}', ops.Conv(features, style=style), [value], shape)
    values.append(value)
    if k in pools:
      features *= 2
      size = tuple(-(-n // 2) for n in values[0].size)
      values = [
          builder.add(f'pool{k}_value{j}', ops.FactorizedReduction(
              features, 2, style), [value], (*size, features))
          for j, value in enumerate(values)]
  output = builder.add('classifier', image.Classifier(
      num_classes, dropout_keep, style, relu=False, use_bias=False),
                       [values[-1]], (num_classes,))
  return builder.finish(output)
