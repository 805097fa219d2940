import json
import sys
from xml.etree import ElementTree

from PIL import Image
import pytest

from nas_jax.spaces import presets
from scripts import draw

Settings = draw.Settings


def _names(files):
  return [path.name for path in files]


def test_cells_and_network_are_written_as_svg_and_png(tmp_path, capsys):
  files = draw.main(Settings(
      'darts-v2', str(tmp_path / 'new'), num_cells=3, zoom=1.5))
  assert _names(files) == [
      f'darts-v2_{kind}.{end}' for end in ('svg', 'png')
      for kind in ('network', 'normal', 'reduce')]
  assert capsys.readouterr().out.splitlines() == [str(path) for path in files]
  for vector, pixels in zip(files[:3], files[3:]):
    root = ElementTree.fromstring(vector.read_text('utf-8'))
    size = [float(v) for v in root.get('viewBox').split()[2:]]
    assert Image.open(pixels).size == pytest.approx(
        [1.5 * v for v in size], abs=2)


def test_without_cells_there_is_the_network_alone(tmp_path):
  files = draw.main(Settings('NAS-Bench-201:ResNet', str(tmp_path), png=False))
  assert _names(files) == ['NAS-Bench-201_ResNet_network.svg']
  files = draw.main(Settings('MobileNet-224', str(tmp_path), png=False))
  assert '224 x 224 x 3' in files[0].read_text()


def test_a_block_is_drawn_beside_its_network(tmp_path):
  files = draw.main(Settings('BlockQNN-resnet-like', str(tmp_path), png=False))
  assert _names(files) == [f'BlockQNN-resnet-like_{kind}.svg'
                           for kind in ('network', 'block')]


def test_a_recurrent_cell_is_drawn_beside_its_language_model(tmp_path):
  files = draw.main(Settings('DARTS_V2_RNN', str(tmp_path), png=False,
                             network='wikitext2'))
  assert _names(files) == ['DARTS_V2_RNN_network.svg', 'DARTS_V2_RNN_cell.svg']
  assert '33,127,878 parameters' in files[0].read_text()


def test_svg_files_need_no_other_package(tmp_path, monkeypatch, capsys):
  monkeypatch.setitem(sys.modules, 'resvg_py', None)
  files = draw.main(Settings('ResNet-20', str(tmp_path)))
  assert _names(files) == ['ResNet-20_network.svg']
  assert 'no PNG files: PNG files need resvg-py' in capsys.readouterr().out


def test_a_run_is_drawn_as_it_was_trained(tmp_path):
  genotype = {'family': 'darts',
              **presets.PRESETS['DARTS_V1'].genotype._asdict()}
  run = tmp_path / 'run'
  run.mkdir()
  (run / 'genotype.json').write_text(json.dumps(genotype))
  config = dict(
      family='darts', genotype={k: v for k, v in genotype.items()
                                if k != 'family'},
      network='cifar', features=6, num_cells=2, image_shape=[16, 16, 1],
      num_classes=7, style={})
  (run / 'network.json').write_text(json.dumps(config))
  files = draw.main(Settings(str(run), str(tmp_path), png=False))
  assert _names(files) == [
      'run_network.svg', 'run_normal.svg', 'run_reduce.svg']
  assert '16 x 16 x 1' in files[0].read_text()
  files = draw.main(Settings(str(run / 'genotype.json'), str(tmp_path),
                             num_cells=1, png=False))
  assert files[0].name == 'genotype_network.svg'
  assert '32 x 32 x 3' in files[0].read_text()


@pytest.mark.parametrize('settings, message', [
    (Settings(), '--architecture is not set'),
    (Settings('DARTS_V3'), 'Did you mean DARTS_V'),
    (Settings('DARTS_V2', zoom=0), '--zoom is 0'),
    (Settings('DARTS_V2', network='mnist'), "no network 'mnist'"),
])
def test_what_cannot_be_drawn_says_why(settings, message):
  with pytest.raises(ValueError, match=message):
    draw.main(settings)
