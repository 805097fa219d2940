"""Settings of searches of recurrent cells, and the problem that follows."""

import pytest

from nas_jax import language_problem
from nas_jax.networks import language
from nas_jax.networks import language_sizes
from nas_jax.spaces import recurrent

_SPACE = recurrent.chain_space(2)
_CELL = ((('tanh', 0), ('relu', 1)), (1, 2))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """Three files of three words."""
  folder = tmp_path_factory.mktemp('text')
  for name, lines in (('train', 60), ('valid', 20), ('test', 20)):
    (folder / f'{name}.txt').write_text('a b\n' * lines)
  return folder


def _make(folder, **options):
  return language_problem.make(language_problem.Settings(**dict(
      dataset=f'text:{folder}', recipe='fast', batch_size=4, bptt=5,
      final_batch_size=2, hidden=4, final_hidden=6) | options),
                               _SPACE, 'rnn_chain', reward=lambda p: -p,
                               floor=-9.)


def test_children_and_result_have_their_own_sizes_and_recipes(folder):
  made = _make(folder, epochs=3, final_epochs=7, learning_rate=.5,
               final_num_layers=2, tied=False, final_bptt=11,
               final_embedding=8)
  assert made.corpus.vocabulary == ('a', 'b', '<eos>')
  child, result = made.child_recipe, made.final_recipe
  assert (child.epochs, child.batch_size, child.bptt, child.learning_rate) == (
      3, 4, 5, .5)
  assert (result.epochs, result.batch_size, result.bptt) == (7, 2, 11)
  assert result.learning_rate != .5
  assert made.child(_CELL).sizes == language.Sizes(
      3, 4, 4, tied=False, init_range=language_sizes.init_range(4))
  assert made.final_sizes == language.Sizes(
      3, 8, 6, 2, tied=False, init_range=language_sizes.init_range(6))


def test_a_text_may_be_limited(folder):
  made = _make(folder, max_train=100, max_validation=30, max_vocabulary=2)
  assert made.corpus.vocabulary == ('a', '<unk>')
  assert [len(part) for part in made.corpus[3:6]] == [100, 30, 60]
  assert made.child(_CELL).sizes.vocabulary == 2


def test_children_may_share_programs(folder):
  own, shared = (_make(folder, execution=e) for e in ('own', 'shared'))
  other = ((('relu', 0), ('relu', 0)), (1, 2))
  assert shared.child(_CELL).apply is shared.child(other).apply
  assert own.child(_CELL).apply is not own.child(other).apply
  assert own.child(_CELL).num_params == shared.child(_CELL).num_params


@pytest.mark.parametrize('options, message', [
    (dict(unit='byte'), "unit is 'byte', expected one of word, character"),
    (dict(execution='all'), "execution is 'all', expected one of own, shared"),
    (dict(hidden=0), 'hidden is 0, expected at least 1'),
    (dict(final_bptt=0), 'final_bptt is 0, expected at least 1'),
    (dict(recipe='slow'), "recipe is 'slow', expected one of "),
    (dict(max_train=0), 'max_train is 0, expected at least 1'),
    (dict(max_validation=0), 'max_validation is 0, expected at least 1'),
    (dict(max_vocabulary=1), 'max_vocabulary is 1, expected at least 2'),
    (dict(max_validation=5),
     'a text of 5 tokens is too short for batch_size 10'),
    (dict(num_children=5, children_per_round=2),
     'num_children 5 is not a multiple of children_per_round 2'),
    (dict(batch_size=50), 'a text of 180 tokens gives each of the 50 rows of a '
     'batch 3, but a window of bptt 5 needs 6'),
    (dict(final_bptt=100), 'a text of 180 tokens gives each of the 2 rows'),
    (dict(dataset='prose'), "unknown text 'prose'; known are grammar, ptb"),
    (dict(final_hidden=4, final_num_layers=-1),
     'final_num_layers is -1, expected at least 1')])
def test_bad_settings(folder, options, message):
  with pytest.raises(ValueError) as e:
    _make(folder, **options)
  assert str(e.value).startswith(message)
