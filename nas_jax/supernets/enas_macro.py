"""The network of ENAS' macro search, whose layers share weights.

Reference: Pham et al., Efficient Neural Architecture Search via Parameter
  Sharing, arXiv 1802.03268, sec. 2.3; melodyguan/enas general_child.py.
"""

import flax.linen as nn
import jax

from nas_jax import base
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.networks import macro
from nas_jax.networks import ops
from nas_jax.networks import ops_rl
from nas_jax.networks import pooling
from nas_jax.spaces import discrete
from nas_jax.spaces import macro_code
from nas_jax.supernets import enas_micro
from nas_jax.supernets import shared

Array = jax.Array


def space(num_layers: int = 12) -> base.Space:
  """Rows of an operation and skips, see `spaces/macro_code.py`.

  A genome holds, for each layer k, the operation and then k bits, the order of
  the published scripts; samples are uniform, each skip is there or not with
  equal chances.

  Args:
    num_layers: L; there are 6^L 2^(L (L - 1) / 2) genomes.

  Raises:
    ValueError: fewer than three layers.
  """
  macro_code.pool_layers(num_layers)
  operations = tuple(range(len(macro_code.OPERATIONS)))
  choices = []
  for k in range(num_layers):
    choices += [operations] + [(0, 1)] * k
  space_ = discrete.space(choices)
  return space_._replace(
      genotype=lambda genome: macro_code.rows(space_.genotype(genome)),
      encode=lambda code: space_.encode(sum(code, ())))


def family(
    *,
    num_layers: int = 12,
    features: int = 36,
    image_shape: tuple[int, int, int] = (32, 32, 3),
    num_classes: int = 10,
    dropout_keep: float = .9,
    style: ops.Style = macro.DEFAULTS['cifar'].style,
) -> shared.Family:
  """L layers of F channels, halved after two of them.

  Each layer has six operations on the output of the layer before; all have F
  channels and weights of their own. The output of the chosen one is added to
  the values that the row names, and a norm follows, but for the first layer,
  which has neither. Where `macro_code.pool_layers` says so, each value so far
  is halved by its own factorized reduction, to F channels again.

  `enas_macro` in networks/zoo.py is the network that the result is trained as:
  there skips are concatenated, and channels double.

  Args:
    num_layers: L, at least 3.
    features: F.
    image_shape: (H, W, C).
    num_classes: K.
    dropout_keep: probability to keep a feature before the classifier.
    style: shared settings.

  Raises:
    ValueError: a number out of range or an image too small.
  """
  if features < 2:
    raise ValueError(f'features is {features}, expected at least 2')
  image.check_keep(1., dropout_keep)
  space_ = space(num_layers)
  pools = macro_code.pool_layers(num_layers)
  image.check_size(image_shape, len(pools))

  def build(code: base.Genotype) -> graph.Graph:
    macro_code.check(code)
    if len(code) != num_layers:
      raise ValueError(
          f'the genotype has {len(code)} layers, expected {num_layers}')
    builder = graph.Builder(image_shape, style)
    size = tuple(image_shape[:2])
    values = [builder.add('stem', image.Stem(features, style), [builder.image],
                          (*size, features))]
    for k, row in enumerate(code):
      name = macro_code.OPERATIONS[row[0]]
      value = builder.add(
          f'layer{k}_{name}', _operation(name, features, style), [values[-1]],
          (*size, features))
      if k:
        joined = [values[j] for j in macro_code.skips(row)]
        if joined:
          value = builder.sum(f'layer{k}_sum', [*joined, value])
        value = builder.add(f'layer{k}', enas_micro.Norm(features, style=style),
                            [value], value.shape)
      values.append(value)
      if k in pools:
        size = tuple(-(-n // 2) for n in size)
        values = [builder.add(
            f'pool{k}_value{j}', ops.FactorizedReduction(features, 2, style),
            [value], (*size, features)) for j, value in enumerate(values)]
    output = builder.add('classifier', image.Classifier(
        num_classes, dropout_keep, style, relu=False, use_bias=False),
                         [values[-1]], (num_classes,))
    return builder.finish(output)

  # Every operation once, and every skip.
  return shared.Family(space_, build, shared.union([
      build(tuple((op, *([1] * k)) for k in range(num_layers)))
      for op in range(len(macro_code.OPERATIONS))]))


class Branch(ops.Op):
  """1x1 convolution, norm, ReLU; then another convolution or a pool.

  A convolution is followed by norm and ReLU, a pool by nothing.
  """
  kind: str = 'conv'  # or 'separable', 'avg', 'max'
  size: int = 3

  @nn.compact
  def __call__(self, x: Array, train: bool) -> Array:
    x = ops_rl.ConvNormRelu(
        self.features, style=self.style, size=(1, 1))(x, train)
    if self.kind in ('avg', 'max'):
      return pooling.pool(x, self.kind, self.size, 1, self.style.padding)
    if self.kind == 'conv':
      return ops_rl.ConvNormRelu(
          self.features, style=self.style, size=(self.size,) * 2)(x, train)
    # Its own ReLU in front changes nothing after another.
    return nn.relu(ops.SeparableConv(
        self.features, style=self.style, size=self.size, repeats=1)(x, train))


def _operation(name: str, features: int, style: ops.Style) -> Branch:
  kind = {'conv': 'conv', 'sep': 'separable', 'avg': 'avg', 'max': 'max'}
  return Branch(features, style=style, kind=kind[name.partition('_')[0]],
                size=int(name[-1]))
