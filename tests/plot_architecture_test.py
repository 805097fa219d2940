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


def test_a_recurrent_cell_is_drawn_with_its_language_model():
  preset = presets.load('NASCell')
  for options, expected in (({}, '24,923,200'),
                            ({'features': 4, 'num_cells': 1}, '40,256'),
                            ({'network': 'ptb_large'}, '53,987,328')):
    net = plot_architecture.build(preset, **options)
    found = plot_architecture.pictures(preset, net, 'NASCell')
    assert list(found) == ['network', 'cell']
    assert f'NASCell: {expected} parameters' in found['network']
  assert set(found) <= set(plot_architecture.NAMES)


def test_a_language_run_is_drawn_as_it_was_trained(tmp_path):
  records.write_json(tmp_path / 'network.json', {
      'model': {'vocabulary': 20, 'embedding': 4, 'hidden': 6,
                'num_layers': 2, 'tied': True, 'bias': True,
                'init_range': .1}})
  net = plot_architecture.build(presets.load('LSTM'), tmp_path)
  assert net.num_params == 540


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
