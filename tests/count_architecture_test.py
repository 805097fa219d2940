import json

import pytest

from nas_jax.spaces import presets
from scripts import count_architecture

Settings = count_architecture.Settings


def test_a_report_has_the_published_numbers():
  text = count_architecture.report(Settings('DARTS_V2'))
  for line in ('DARTS_V2 (family darts), network cifar: 32 x 32 x 3 images, 10 '
               'classes',
               'part                  output            params  multiply-adds',
               'stem                  32 x 32 x 108      3,132      2,985,984',
               'cell2 .. cell5 (4)    32 x 32 x 144    116,496    115,458,048',
               'params              3,349,342  parameters',
               'conv_macs         528,353,280  multiply-adds of convolutions, '
               'one image'):
    assert line in text.splitlines()
  assert 'memory' not in text


@pytest.mark.parametrize('name, millions', [
    ('P-DARTS', 557), ('PC-DARTS-CIFAR', 586), ('PC-DARTS-ImageNet', 597)])
def test_published_multiply_adds_on_imagenet(name, millions):
  found = json.loads(count_architecture.report(
      Settings(name, network='imagenet', format='json')))
  assert round(found['macs_with_norm'] / 1e6) == millions


def test_json_is_one_object_whose_parts_add_up():
  found = json.loads(count_architecture.report(Settings(
      'darts-v1', features=8, num_cells=6, num_classes=7, image_size=28,
      format='json', memory=True, batch_size=4)))
  assert found['image_shape'] == [28, 28, 3] and found['num_classes'] == 7
  parts = found['parts']
  assert [part['name'] for part in parts] == [
      'stem', 'cell0', 'cell1', 'cell2', 'cell3', 'cell4', 'auxiliary',
      'cell5', 'classifier']
  assert sum(part['params'] for part in parts) == found['params']
  assert sum(part['macs'] for part in parts) == found['macs'] == (
      found['conv_macs'] + found['linear_macs'])
  memory = found['memory']
  assert memory['batch_size'] == 4 and set(memory) == {
      'batch_size', 'estimated'}
  assert memory['estimated']['total'] > memory['estimated']['temporaries'] > 0


def test_images_too_small_for_an_auxiliary_classifier_are_counted():
  found = json.loads(count_architecture.report(Settings(
      'DARTS_V2', features=4, num_cells=3, image_size=8, format='json')))
  assert found['auxiliary_params'] == 0 < found['params']


def test_the_memory_of_the_compiled_step_is_told():
  text = count_architecture.report(Settings(
      'DARTS_V2', features=4, num_cells=1, image_size=4, compile=True,
      batch_size=2))
  assert 'memory, compiled: 0.00 GiB for a training step of 2 images' in text


def test_a_file_is_an_architecture(tmp_path):
  genotype = presets.PRESETS['DARTS_V2'].genotype
  path = tmp_path / 'genotype.json'
  path.write_text(json.dumps(genotype._asdict()))
  (tmp_path / 'other').mkdir()
  reports = [count_architecture.report(Settings(
      str(place), features=4, num_cells=2, format='json'))
             for place in (path, tmp_path)]
  numbers = [json.loads(text)['params'] for text in reports]
  assert numbers[0] == numbers[1] > 0


def test_a_listing_names_family_network_and_parameters(monkeypatch, capsys):
  monkeypatch.setattr(presets, 'PRESETS', {
      name: presets.PRESETS[name] for name in ('DARTS_V1', 'DARTS_V2')})
  expected = [
      'architecture  family  network     params',
      'DARTS_V1      darts   cifar    3,169,414',
      'DARTS_V2      darts   cifar    3,349,342']
  assert count_architecture.listing().splitlines() == expected
  for settings in (Settings('list'), Settings(list=True)):
    count_architecture.main(settings)
    assert capsys.readouterr().out.splitlines() == expected
  found = json.loads(count_architecture.listing('json', 'imagenet'))
  assert found['architectures'][1] == {
      'name': 'DARTS_V2', 'family': 'darts', 'network': 'imagenet',
      'params': 4_718_752}


@pytest.mark.parametrize('settings, message', [
    (Settings(), '--architecture is not set'),
    (Settings('DARTS_V3'), 'Did you mean DARTS_V'),
    (Settings('DARTS_V2', network='mnist'), "no network 'mnist'"),
    (Settings('DARTS_V2', features=5), 'even number'),
    (Settings('DARTS_V2', format='xml'), "--format is 'xml'"),
    (Settings('DARTS_V2', batch_size=0), '--batch_size is 0'),
    (Settings('DARTS_V2', image_size=0), '--image_size is 0'),
])
def test_what_cannot_be_counted_says_why(settings, message):
  with pytest.raises(ValueError, match=message):
    count_architecture.report(settings)
