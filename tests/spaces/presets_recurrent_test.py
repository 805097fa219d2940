import pytest

from nas_jax.networks import zoo
from nas_jax.spaces import presets
from nas_jax.spaces import presets_recurrent
from nas_jax.spaces import recurrent
from nas_jax.spaces import recurrent_tree

_PRESETS = presets_recurrent.PRESETS


def _text(name):
  return ' '.join(f'{activation}{state}'
                  for activation, state in _PRESETS[name].genotype.nodes)


@pytest.mark.parametrize('name, nodes, concat', [
    ('DARTS_V1_RNN', 'relu0 relu1 tanh2 relu3 relu4 identity1 relu5 relu1',
     range(1, 9)),
    ('DARTS_V2_RNN',
     'sigmoid0 relu1 relu1 identity1 tanh2 sigmoid5 tanh3 relu5', range(1, 9)),
    ('ENAS_RNN', 'tanh0 tanh1 relu1 tanh3 tanh3 relu3 relu4 relu7 relu8 relu8 '
     'relu8', (2, 5, 6, 9, 10, 11)),
    ('ENAS_LM_RNN',
     'sigmoid0 tanh1 relu2 sigmoid2 tanh4 tanh5 sigmoid3 sigmoid6',
     range(1, 9)),
    ('NAO_RNN', 'relu0 relu0 relu1 tanh3 relu4 relu4 relu5 relu1 relu7 relu1 '
     'identity1', range(1, 12)),
    ('NAO_WS_RNN', 'relu0 relu1 sigmoid2 sigmoid1 relu4 relu4 relu4 relu7 '
     'sigmoid8 tanh1 relu4', range(1, 12))])
def test_a_preset_is_the_published_cell(name, nodes, concat):
  assert _text(name) == nodes
  assert _PRESETS[name].genotype.concat == tuple(concat)


def test_the_cell_of_darts_is_the_same_in_both_codes():
  assert _PRESETS['DARTS_LM_RNN'] == _PRESETS['DARTS_V2_RNN']


def test_all_genotypes_are_legal():
  checks = {'rnn_chain': recurrent.check, 'rnn_tree': recurrent_tree.check}
  for preset in _PRESETS.values():
    assert preset.family in recurrent.FAMILIES
    if preset.family in checks:
      assert checks[preset.family](preset.genotype) == preset.genotype
  assert len(_PRESETS['NASCell'].genotype.nodes) == 15


def test_a_recurrent_cell_is_no_network_for_images():
  with pytest.raises(ValueError, match=(
      r'^a recurrent cell \(family rnn_tree\) is no network for images: train '
      'it on text with experiments/train_language.py')):
    zoo.build(presets.load('nascell'))
