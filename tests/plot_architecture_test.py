import pytest

from nas_jax import plot_architecture
from nas_jax import records
from nas_jax.networks import graph
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets


@pytest.mark.parametrize('name, kinds', [
    ('DARTS_V2', ['network', 'normal', 'reduce']),
    ('AutoDL-Design', ['network', 'normal', 'reduce']),
    ('BlockQNN-resnet-like', ['network', 'block']),
    ('NAS-RL-v1', ['network']),
    ('ENAS-macro', ['network'])])
def test_every_family_has_its_pictures(name, kinds):
  preset = presets.load(name)
  found = plot_architecture.pictures(
      preset, plot_architecture.build(preset, num_cells=(
          None if name in ('NAS-RL-v1', 'ENAS-macro') else 2)), name)
  assert list(found) == kinds
  assert all(found[kind].startswith('<svg') for kind in kinds)
  assert set(kinds) <= set(plot_architecture.NAMES)
  assert f'>{name}</text>' in found['network']


def test_a_run_is_drawn_as_it_was_trained(tmp_path):
  preset = presets.load('BlockQNN-resnet-like')
  assert plot_architecture.build(preset, tmp_path).image_shape == (32, 32, 3)
  records.write_json(tmp_path / 'network.json', dict(
      family='blockqnn', genotype=genotypes.to_json(preset.genotype),
      network='cifar', features=4, num_cells=1, image_shape=[8, 8, 1],
      num_classes=7, style={}))
  net = plot_architecture.build(preset, tmp_path)
  assert (net.image_shape, net.nodes[-1].shape) == ((8, 8, 1), (7,))
  other = plot_architecture.build(preset, tmp_path, features=8)
  assert other.nodes[0].shape == (32, 32, 8)
  assert graph.num_params(net) < graph.num_params(other)


def test_an_unknown_family_is_refused():
  with pytest.raises(ValueError, match="unknown family of networks 'new'"):
    plot_architecture.build(presets.Preset('new', ()))
