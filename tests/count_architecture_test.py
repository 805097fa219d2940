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


def test_a_language_model_is_counted_layer_by_layer():
  assert count_architecture.report(Settings('AWD_LSTM')).splitlines() == [
      'AWD_LSTM (family awd_lstm), network ptb: 10,000 tokens, tied embedding',
      '',
      'part       output      params  multiply-adds',
      'embedding  400      4,000,000              0',
      'layer 1    1150     7,139,200      7,130,000',
      'layer 2    1150    10,589,200     10,580,000',
      'layer 3    400      2,483,200      2,480,000',
      'decoder    10000       10,000      4,000,000',
      '',
      'params     24,221,600  parameters',
      'macs       24,190,000  multiply-adds of one token']


def test_a_language_model_of_another_size_is_counted():
  found = json.loads(count_architecture.report(Settings(
      'NASCell', features=8, vocabulary=50, num_cells=1, format='json')))
  # 50 d and 16 d^2, without biases.
  assert found['params'] == 50 * 8 + 16 * 64
  assert found['macs'] == 16 * 64 + 50 * 8
  assert (found['embedding'], found['hidden']) == (8, 8)
  assert [part['name'] for part in found['parts']] == [
      'embedding', 'layer 1', 'decoder']


def test_the_equations_of_a_tree_are_told():
  text = count_architecture.report(Settings('NASCell'))
  assert 'params     24,923,200  parameters' in text
  assert text.endswith("h' = a14\nc' = a8' * a9")


def test_recurrent_cells_are_listed_beside_others(monkeypatch):
  monkeypatch.setattr(presets, 'PRESETS', {
      name: presets.PRESETS[name]
      for name in ('DARTS_V1', 'DARTS_V2_RNN', 'LSTM')})
  found = json.loads(count_architecture.listing('json', 'wikitext2'))
  rows = [(row['network'], row['params']) for row in found['architectures']]
  assert rows == [('cifar', 3_169_414), ('wikitext2', 33_127_878),
                  ('ptb', 19_775_200)]


@pytest.mark.parametrize('settings, message', [
    (Settings('DARTS_V2_RNN', network='cifar'), "has no network 'cifar', "
     'expected one of ptb, wikitext2'),
    (Settings('DARTS_V2_RNN', memory=True), '--memory is not for the family '
     'rnn_chain'),
    (Settings('DARTS_V2_RNN', vocabulary=0), '--vocabulary is 0'),
    (Settings('DARTS_V2', vocabulary=9), '--vocabulary is not for the family '
     'darts'),
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
