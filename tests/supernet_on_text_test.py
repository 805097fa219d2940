import dataclasses
import itertools

import jax
import numpy as np
import pytest

from nas_jax import records
from nas_jax import supernet_on_text
from nas_jax.data import text
from nas_jax.networks import language
from nas_jax.supernets import recurrent_search
from nas_jax.training import language_recipes


def _corpus(num_train=240, num_validation=80):
  """Words that count upwards, with a few mistakes."""
  rng = np.random.default_rng(0)
  tokens = np.where(rng.random(400) < .1, 0, np.arange(400) % 5)
  tokens = tokens.astype(np.int32)
  return text.Corpus('count', 'word', tuple('abcde'), tokens[:num_train],
                     tokens[num_train:num_train + num_validation],
                     tokens[320:])


def _plan(**changes):
  recipe = language_recipes.load('fast_search', epochs=2, batch_size=4, bptt=20,
                                 eval_batch_size=4)
  plan = supernet_on_text.Plan(
      language.Sizes(5, 4, 4), 1, recipe, recurrent_search.SETTINGS, False,
      _corpus())
  return plan._replace(**changes)


def test_windows_of_both_texts_follow_each_other_round_the_shorter():
  # 60 training rows and 20 validation rows: 59 and 19 can be predicted.
  plan = _plan()
  found = list(itertools.islice(supernet_on_text.pairs(plan, 0, 0), 4))
  trains, validations = zip(*found)
  assert [int(b.length) for b in trains] == [20, 10, 20, 9]
  # They begin in rows 0, 20, 30 and 50: 0, 1, 11 and 12 of the other text.
  assert [int(b.length) for b in validations] == [19, 18, 8, 7]
  assert [bool(b.start) for b in trains] == [True, False, False, False]
  assert all(b.inputs.shape == (20, 4) for pair in found for b in pair)
  streams = plan.corpus.validation.reshape(4, 20).T
  np.testing.assert_array_equal(validations[1].inputs[:18], streams[1:19])
  np.testing.assert_array_equal(validations[1].targets[:18], streams[2:20])
  np.testing.assert_array_equal(validations[1].inputs[18:], 0)


def test_five_windows_in_a_hundred_are_half_as_long():
  plan = _plan(corpus=_corpus()._replace(
      train=np.zeros(4 * 200_000, np.int32)))
  lengths = [w.length for w in supernet_on_text.windows_of(plan, 3, 0)]
  assert set(lengths[:-1]) == {20, 10}
  assert .04 < lengths.count(10) / len(lengths) < .06
  other = supernet_on_text.windows_of(plan, 3, 1)
  assert [w.length for w in other] != lengths


def test_pairs_from_any_step_are_those_of_an_undisturbed_run():
  plan = _plan(corpus=_corpus()._replace(train=np.arange(4 * 300) % 5))
  epoch = len(supernet_on_text.windows_of(plan, 0, 0))
  whole = list(itertools.islice(
      supernet_on_text.pairs(plan, 0, 0), 2 * epoch + 3))
  assert [i for i, (b, _) in enumerate(whole) if b.start][:2] == [0, epoch]
  for start in (1, epoch - 1, epoch, epoch + 2):
    later = itertools.islice(supernet_on_text.pairs(plan, 0, start), 3)
    for a, b in zip(whole[start:start + 3], later, strict=True):
      assert all(map(np.array_equal, jax.tree.leaves(a), jax.tree.leaves(b)))


def _lines(folder):
  return [{k: v for k, v in line.items() if k != 'seconds'}
          for line in records.read(folder / 'history.jsonl')]


def test_an_interrupted_search_ends_with_the_same_bits(tmp_path, monkeypatch):
  searcher = supernet_on_text.build(_plan())
  whole = supernet_on_text.run(tmp_path / 'whole', searcher, 1, 'search')
  pairs = supernet_on_text.pairs

  def interrupted(plan, seed, step):
    for i, pair in enumerate(pairs(plan, seed, step)):
      if step + i == 5:  # In the second of two epochs.
        raise KeyboardInterrupt
      yield pair

  monkeypatch.setattr(supernet_on_text, 'pairs', interrupted)
  with pytest.raises(KeyboardInterrupt):
    supernet_on_text.run(tmp_path / 'cut', searcher, 1, 'search')
  assert len(_lines(tmp_path / 'cut')) == 1
  monkeypatch.setattr(supernet_on_text, 'pairs', pairs)
  again = supernet_on_text.run(tmp_path / 'cut', searcher, 1, 'search')
  lines = _lines(tmp_path / 'whole')
  assert _lines(tmp_path / 'cut') == lines
  assert again.genotype == whole.genotype
  assert again.ended == 'all epochs'
  assert [line['epoch'] for line in lines] == [0, 1]
  assert np.shape(lines[0]['weights']['recurrent']) == (1, 5)
  assert lines[0]['candidates']['recurrent'] == [
      ['none', 'tanh', 'relu', 'sigmoid', 'identity']]
  assert set(lines[0]['metrics']) == {'loss', 'validation_loss'}
  assert 1 < lines[1]['supernet_perplexity'] < 100
  # Another seed is another search, by the same programs.
  other = supernet_on_text.run(tmp_path / 'other', searcher, 2, 'search')
  assert _lines(tmp_path / 'other') != lines
  assert other.seconds > 0


def test_a_cell_of_identities_is_warned_of(tmp_path, caplog):
  plan = _plan()
  searcher = supernet_on_text.build(plan._replace(
      recipe=dataclasses.replace(plan.recipe, epochs=1)))
  search = searcher.search

  def init(key):  # Identity leads from the beginning.
    state = search.init(key)
    return state._replace(alphas={
        'recurrent': state.alphas['recurrent'].at[:, 4].set(5.)})

  supernet_on_text.run(tmp_path, searcher._replace(
      search=search._replace(init=init)), 0, 'search')
  line, = records.read(tmp_path / 'history.jsonl')
  assert line['warning'].startswith(
      'The search seems to collapse: all 1 nodes of the derived cell are ident')
  assert line['warning'] in caplog.text


def test_a_search_that_diverges_says_so(tmp_path):
  plan = _plan()
  searcher = supernet_on_text.build(plan._replace(
      recipe=dataclasses.replace(
          plan.recipe, learning_rate=1e38, clip_norm=None)))
  found = supernet_on_text.run(tmp_path, searcher, 0, 'search')
  assert found.ended == 'diverged in epoch 0'
  assert found.records == []


@pytest.mark.parametrize('train,validation,changes,message', [
    (240, 80, {'bptt': 4}, 'bptt is 4, expected at least 5'),
    (240, 80, {'batch_size': 20}, 'gives each of the 20 rows'),
    (240, 7, {}, 'too short for batch_size 4')])
def test_texts_and_windows_that_do_not_fit_are_refused(
    train, validation, changes, message):
  plan = _plan(corpus=_corpus(train, validation))
  with pytest.raises(ValueError, match=message):
    supernet_on_text.build(plan._replace(
        recipe=dataclasses.replace(plan.recipe, **changes)))


def test_a_vocabulary_of_another_size_is_refused():
  with pytest.raises(ValueError, match='knows 6 tokens'):
    supernet_on_text.build(_plan(sizes=language.Sizes(6, 4, 4)))
