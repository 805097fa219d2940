"""All families of networks behind one call."""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import NamedTuple

from nas_jax.networks import bench101
from nas_jax.networks import bench201
from nas_jax.networks import bench_macro
from nas_jax.networks import block
from nas_jax.networks import chain
from nas_jax.networks import darts
from nas_jax.networks import densenets
from nas_jax.networks import dna
from nas_jax.networks import enas_micro
from nas_jax.networks import graph
from nas_jax.networks import imagenet_baselines
from nas_jax.networks import macro
from nas_jax.networks import nao
from nas_jax.networks import nasnet
from nas_jax.networks import one_shot
from nas_jax.networks import pyramidnets
from nas_jax.networks import resnets
from nas_jax.networks import shake_shake
from nas_jax.networks import single_path
from nas_jax.networks import tokens
from nas_jax.spaces import presets
from nas_jax.spaces import recurrent


class Family(NamedTuple):
  """How the networks of one paper are built.

  Attributes:
    build: (genotype, *, network, image_shape, num_classes, features,
      num_cells, auxiliary, drop_path_keep, dropout_keep, style) -> Graph.
    defaults: by kind of network: 'cifar', 'imagenet', ...
  """
  build: Callable[..., graph.Graph]
  defaults: Mapping[str, graph.Defaults]


FAMILIES: dict[str, Family] = dict(
    darts=Family(darts.build, darts.DEFAULTS),
    nasnet=Family(nasnet.build_nasnet, nasnet.NASNET_DEFAULTS),
    amoebanet=Family(nasnet.build_amoebanet, nasnet.AMOEBANET_DEFAULTS),
    pnasnet=Family(nasnet.build_pnasnet, nasnet.PNASNET_DEFAULTS),
    nao=Family(nao.build, nao.DEFAULTS),
    nao_pytorch=Family(nao.build_pytorch, nao.PYTORCH_DEFAULTS),
    nao_pytorch_v2=Family(nao.build_pytorch_v2, nao.PYTORCH_DEFAULTS),
    nao_ws=Family(enas_micro.build, enas_micro.DEFAULTS),
    enas_micro=Family(enas_micro.build, enas_micro.DEFAULTS),
    nas_rl=Family(chain.build, chain.DEFAULTS),
    enas_macro=Family(macro.build, macro.DEFAULTS),
    enas_macro_separable=Family(
        functools.partial(macro.build, separable=True), macro.DEFAULTS),
    blockqnn=Family(block.build, block.DEFAULTS),
    blockqnn_widening=Family(
        functools.partial(block.build, widen=True), block.DEFAULTS),
    autodl=Family(tokens.build, tokens.DEFAULTS),
    large_scale=Family(dna.build, dna.DEFAULTS),
    one_shot=Family(one_shot.build, one_shot.DEFAULTS),
    **{name: Family(*pair)
       for module in (resnets, densenets, pyramidnets, shake_shake,
                      imagenet_baselines, single_path, bench101, bench201,
                      bench_macro)
       for name, pair in module.FAMILIES.items()},
)


def build(
    preset: presets.Preset,
    network: str = 'cifar',
    *,
    image_shape: tuple[int, int, int] | None = None,
    num_classes: int | None = None,
    features: int | None = None,
    num_cells: int | None = None,
    auxiliary: bool = False,
    drop_path_keep: float = 1.,
    dropout_keep: float | None = None,
    **style_changes,
) -> graph.Graph:
  """The network of an architecture.

  Args:
    preset: family and genotype, see `presets.load`.
    network: kind of network, 'cifar' or 'imagenet'; what else there is
      depends on the family.
    image_shape: (H, W, C); by default that of the paper.
    num_classes: K; by default that of the paper.
    features: F, in the convention of the paper; by default its size.
    num_cells: in the convention of the paper; by default its size.
    auxiliary: whether there is an auxiliary classifier in training.
    drop_path_keep: probability to keep the deepest path at the end of
      training.
    dropout_keep: probability to keep a feature before the classifier; by
      default that of the paper.
    **style_changes: fields of `ops.Style` that differ from the family's.

  Raises:
    ValueError: what the family cannot build.
  """
  check_family(preset.family)
  family = FAMILIES[preset.family]
  if network not in family.defaults:
    raise ValueError(
        f'the family {preset.family} has no network {network!r}, expected one '
        f'of {", ".join(family.defaults)}')
  defaults = family.defaults[network]
  sizes = {name: rest for name, *rest in preset.sizes}
  own_features, own_cells = sizes.get(network, (None, None))
  return family.build(
      preset.genotype, network=network,
      image_shape=tuple(image_shape or defaults.image_shape),
      num_classes=_first(num_classes, defaults.num_classes),
      features=_first(features, own_features, defaults.features),
      num_cells=_first(num_cells, own_cells, defaults.num_cells),
      auxiliary=auxiliary, drop_path_keep=drop_path_keep,
      dropout_keep=_first(dropout_keep, defaults.dropout_keep),
      style=dataclasses.replace(defaults.style, **style_changes))


def check_family(name: str) -> None:
  """Refuses what is no family of networks for images.

  Raises:
    ValueError: a recurrent cell, or an unknown family.
  """
  if name in recurrent.FAMILIES:
    raise ValueError(
        f'a recurrent cell (family {name}) is no network for images: train it '
        'on text with experiments/train_language.py')
  if name not in FAMILIES:
    raise ValueError(f'unknown family of networks {name!r}, expected one of '
                     f'{", ".join(FAMILIES)}')


def build_whole(preset: presets.Preset, network: str = 'cifar', **options
                ) -> graph.Graph:
  """As `build`, with an auxiliary classifier where there can be one."""
  net = build(preset, network, **options)
  try:
    return build(preset, network, auxiliary=True, **options)
  except ValueError:  # A family without, or images too small for it.
    return net


def _first(*values):
  """The first that is set."""
  return next((v for v in values if v is not None), None)
