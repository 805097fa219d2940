"""Pictures of an architecture of any family."""

import os
import pathlib

from nas_jax import plot_cells
from nas_jax import plot_graph
from nas_jax import plot_network
from nas_jax import plot_recurrent
from nas_jax import records
from nas_jax import trained
from nas_jax.networks import graph
from nas_jax.networks import language
from nas_jax.networks import language_sizes
from nas_jax.networks import zoo
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.spaces import recurrent

# What a picture shows, by its key.
NAMES = {'network': 'Network', 'normal': 'Normal cell',
         'reduce': 'Reduction cell', 'block': 'Block',
         'cell': 'Recurrent cell'}
Network = graph.Graph | language.Model


def pictures(preset: presets.Preset, net: Network, title: str
             ) -> dict[str, str]:
  """The whole network, and what it repeats, as SVG.

  Args:
    preset: family and genotype.
    net: of `build`.
    title: what it is called.

  Returns:
    Pictures by the keys of `NAMES`: 'network' first, then those that the
    family has.
  """
  if isinstance(net, language.Model):
    return {'network': plot_recurrent.draw_model(net, title),
            'cell': plot_recurrent.draw_cell(preset)}
  found = {'network': plot_network.draw_network(net, title)}
  genotype = preset.genotype
  if isinstance(genotype, genotypes.Genotype):
    for kind in ('normal', 'reduce'):
      found[kind] = plot_cells.draw_cell(genotype._asdict(), kind)
  elif preset.family == 'autodl':
    for kind in ('normal', 'reduce'):
      found[kind] = plot_graph.draw_tokens(genotype, kind)
  elif preset.family.startswith('blockqnn'):
    found['block'] = plot_graph.draw_block(genotype)
  return found


def build(preset: presets.Preset, workdir: str | os.PathLike | None = None,
          network: str | None = None, features: int | None = None,
          num_cells: int | None = None) -> Network:
  """The network to draw: as a run trained it, or whole, of the paper's size.

  Args:
    preset: family and genotype.
    workdir: of a run; if it has a network.json, and no size is given, this is
      the network.
    network: kind of network; by default 'cifar' where the family has it,
      'ptb' of recurrent cells.
    features: F, in the convention of the paper; by default its size. Of a
      recurrent cell its units.
    num_cells: in the convention of the paper; by default its size. Of a
      recurrent cell the layers.

  Raises:
    ValueError: an unknown family, or sizes that do not fit it.
  """
  config = pathlib.Path(workdir or '') / 'network.json'
  as_trained = workdir and config.exists() and (
      network, features, num_cells) == (None, None, None)
  if preset.family in recurrent.FAMILIES:
    sizes = records.read_json(config)['model'] if as_trained else {
        'hidden': features, 'num_layers': num_cells}
    return language_sizes.build(preset, network or 'ptb', **sizes)
  if as_trained:
    return trained.build(records.read_json(config))
  kinds = zoo.FAMILIES[preset.family].defaults if (
      preset.family in zoo.FAMILIES) else ('cifar',)
  return zoo.build_whole(
      preset, network or ('cifar' if 'cifar' in kinds else next(iter(kinds))),
      features=features, num_cells=num_cells)
