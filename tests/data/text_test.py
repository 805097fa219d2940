import gzip
import lzma

import numpy as np
import pytest

from nas_jax.data import text
from tests.data.helpers import message_of


def _write(folder, names=('train.txt', 'valid.txt', 'test.txt')):
  folder.mkdir(parents=True, exist_ok=True)
  parts = ('b a\n\n a  b c \n', 'a d\n', 'c b')
  for name, part in zip(names, parts):
    data = part.encode()
    if name.endswith('.xz'):
      data = lzma.compress(data)
    if name.endswith('.gz'):
      data = gzip.compress(data)
    (folder / name).write_bytes(data)


def test_words_are_numbered_as_they_appear_and_lines_end(tmp_path):
  _write(tmp_path)
  corpus = text.load(f'text:{tmp_path}')
  assert corpus.vocabulary == ('b', 'a', '<eos>', 'c', '<unk>')
  assert corpus.train.tolist() == [0, 1, 2, 2, 1, 0, 3, 2]
  assert corpus.validation.tolist() == [1, 4, 2]
  assert corpus.test.tolist() == [3, 0, 2]
  assert corpus.train.dtype == np.int32
  assert (corpus.name, corpus.unit) == (f'text:{tmp_path}', 'word')
  assert corpus.entropy is None and corpus.source_losses is None


def test_characters_are_numbered_by_code_point(tmp_path):
  _write(tmp_path)
  corpus = text.load(f'text:{tmp_path}', unit='character')
  assert corpus.vocabulary == ('\n', ' ', 'a', 'b', 'c', '<unk>')
  assert corpus.train.tolist() == [3, 1, 2, 0, 0, 1, 2, 1, 1, 3, 1, 4, 1, 0]
  assert corpus.validation.tolist() == [2, 1, 5, 0]
  assert corpus.test.tolist() == [4, 1, 3]


def test_the_unknown_word_of_a_text_is_not_added_twice(tmp_path):
  (tmp_path / 'train.txt').write_text('<unk> a\n')
  (tmp_path / 'valid.txt').write_text('b\n')
  (tmp_path / 'test.txt').write_text('a\n')
  corpus = text.load(f'text:{tmp_path}')
  assert corpus.vocabulary == ('<unk>', 'a', '<eos>')
  assert corpus.validation.tolist() == [0, 2]


def test_a_file_is_cut_into_90_5_and_5_hundredths(tmp_path):
  path = tmp_path / 'own.txt'
  path.write_text('x ' * 94 + 'y z u v w')
  corpus = text.load(f'text:{path}')
  assert [len(part) for part in corpus[3:6]] == [90, 5, 5]
  assert corpus.vocabulary == ('x', '<unk>')
  assert corpus.test.tolist() == [1] * 5


def test_fewer_training_tokens_leave_the_vocabulary(tmp_path):
  _write(tmp_path)
  corpus = text.load(f'text:{tmp_path}', max_train=2)
  assert corpus.train.tolist() == [0, 1]
  assert corpus.vocabulary == ('b', 'a', '<eos>', 'c', '<unk>')
  assert corpus.validation.tolist() == [1, 4, 2]


def test_a_shorter_validation_part_leaves_the_test_part(tmp_path):
  _write(tmp_path)
  corpus = text.load(f'text:{tmp_path}', max_validation=2)
  assert corpus.validation.tolist() == [1, 4]
  assert corpus.test.tolist() == [3, 0, 2]
  assert len(corpus.train) == 8


def test_the_most_frequent_words_are_kept_in_their_order(tmp_path):
  _write(tmp_path)
  # <eos> is there three times, a and b twice, c once, and d in validation.
  corpus = text.load(f'text:{tmp_path}', max_vocabulary=3)
  assert corpus.vocabulary == ('b', '<eos>', '<unk>')
  assert corpus.train.tolist() == [0, 2, 1, 1, 2, 0, 2, 1]
  assert corpus.validation.tolist() == [2, 2, 1]
  assert corpus.test.tolist() == [2, 0, 1]
  assert corpus.train.dtype == corpus.validation.dtype == np.int32
  assert corpus.max_vocabulary == 3


def test_words_are_counted_in_the_whole_training_part(tmp_path):
  _write(tmp_path)
  corpus = text.load(f'text:{tmp_path}', max_vocabulary=4, max_train=2)
  assert corpus.vocabulary == ('b', 'a', '<eos>', '<unk>')
  assert corpus.train.tolist() == [0, 1]
  assert corpus.test.tolist() == [3, 0, 2]


@pytest.mark.parametrize('size', [5, 100])
def test_a_vocabulary_within_its_limit_remains(tmp_path, size):
  _write(tmp_path)
  corpus = text.load(f'text:{tmp_path}', max_vocabulary=size)
  assert corpus.vocabulary == ('b', 'a', '<eos>', 'c', '<unk>')
  assert corpus.train.tolist() == [0, 1, 2, 2, 1, 0, 3, 2]


def test_an_unknown_word_of_the_text_is_kept_however_rare(tmp_path):
  (tmp_path / 'train.txt').write_text('a <unk> b b\nb c c\n')
  for name in ('valid', 'test'):
    (tmp_path / f'{name}.txt').write_text('a c\n')
  corpus = text.load(f'text:{tmp_path}', max_vocabulary=3)
  assert corpus.vocabulary == ('<unk>', 'b', '<eos>')
  assert corpus.train.tolist() == [0, 0, 1, 1, 2, 1, 0, 0, 2]
  assert corpus.validation.tolist() == [0, 0, 2]


def test_the_most_frequent_characters_are_kept(tmp_path):
  _write(tmp_path)
  # The space six times; of line feed, a and b, the first two.
  corpus = text.load(f'text:{tmp_path}', unit='character', max_vocabulary=4)
  assert corpus.vocabulary == ('\n', ' ', 'a', '<unk>')
  assert corpus.train.tolist() == [3, 1, 2, 0, 0, 1, 2, 1, 1, 3, 1, 3, 1, 0]
  assert corpus.validation.tolist() == [2, 1, 3, 0]


@pytest.mark.parametrize('name, place, files', [
    ('ptb', '', ('ptb.train.txt', 'ptb.valid.txt', 'ptb.test.txt')),
    ('ptb', 'simple-examples/data',
     ('ptb.train.txt', 'ptb.valid.txt', 'ptb.test.txt')),
    ('ptb', 'penn', ('train.txt', 'valid.txt', 'test.txt')),
    ('wikitext2', 'wikitext-2',
     ('wiki.train.tokens', 'wiki.valid.tokens', 'wiki.test.tokens')),
    ('wikitext2', 'wikitext2', ('train.txt.xz', 'valid.txt.gz', 'test.txt')),
    ('ptb', '', ('train.txt', 'validation.txt', 'test.txt.gz'))])
def test_files_are_found_under_their_usual_names(
    tmp_path, name, place, files):
  _write(tmp_path / place, files)
  corpus = text.load(name, str(tmp_path))
  assert corpus.train.tolist() == [0, 1, 2, 2, 1, 0, 3, 2]
  assert corpus.test.tolist() == [3, 0, 2]


def test_the_parts_come_from_one_folder(tmp_path):
  _write(tmp_path / 'ptb', ('ptb.train.txt',))
  _write(tmp_path)
  assert message_of(text.load, 'ptb', str(tmp_path)) == (
      "'ptb': no file of the validation part; looked for ptb.valid.txt, "
      'ptb.validation.txt, valid.txt, validation.txt (or with .xz, .gz at '
      f'the end) in {tmp_path}/ptb')


def test_characters_of_named_texts_have_no_spaces_around_lines(tmp_path):
  _write(tmp_path)
  corpus = text.load('ptb', str(tmp_path), unit='character')
  assert corpus.train.tolist() == [3, 1, 2, 0, 0, 2, 1, 1, 3, 1, 4, 0]


@pytest.mark.parametrize('name, unit, sizes, size', [
    ('ptb', 'word', (929_589, 73_760, 82_430), 10_000),
    ('ptb', 'character', (5_017_482, 393_042, 442_423), 50),
    ('wikitext2', 'word', (2_088_628, 217_646, 245_569), 33_278)])
def test_published_texts_have_their_numbers_of_tokens(
    shared_data, name, unit, sizes, size):
  corpus = text.load(name, str(shared_data), unit=unit)
  assert tuple(len(part) for part in corpus[3:6]) == sizes
  assert len(corpus.vocabulary) == size


def test_a_file_of_shakespeare_is_cut_by_characters(shared_data):
  path = shared_data / 'tiny_shakespeare.txt.xz'
  corpus = text.load(f'text:{path}', unit='character')
  assert [len(part) for part in corpus[3:6]] == [1_003_854, 55_770, 55_770]
  assert len(corpus.vocabulary) == 65


def test_the_grammar_is_known_with_its_least_loss():
  corpus = text.load('grammar')
  assert [len(part) for part in corpus[3:6]] == [60_005, 10_002, 10_000]
  assert len(corpus.vocabulary) == 40
  assert corpus.vocabulary[:3] == ('sailor', 'sailors', 'farmer')
  assert corpus.train.dtype == np.int32
  assert abs(corpus.entropy - 1.2009) < 1e-4
  np.testing.assert_allclose(corpus.source_losses, 1.2009, rtol=.01)


def test_characters_of_the_grammar_share_out_the_same_nats():
  words = text.load('grammar')
  characters = text.load('grammar', unit='character')
  assert abs(characters.entropy - 0.2501) < 1e-4
  np.testing.assert_allclose(
      characters.source_losses[0] * len(characters.validation),
      words.source_losses[0] * len(words.validation))


def test_sentences_of_the_grammar_follow_from_the_seed():
  first, again, other = (text.load('grammar', seed=s) for s in (1, 1, 2))
  np.testing.assert_array_equal(first.train, again.train)
  assert not np.array_equal(first.train[:100], other.train[:100])
  assert first.vocabulary == other.vocabulary
  assert first.entropy == other.entropy


@pytest.mark.parametrize('place', ['valid.txt', 'train.txt'])
def test_bytes_that_are_no_text_are_located(tmp_path, place):
  _write(tmp_path)
  (tmp_path / place).write_bytes(b'a b\nc \xff d\n')
  assert message_of(text.load, f'text:{tmp_path}') == (
      f'{tmp_path / place}, line 2, byte 3: 0xff is not UTF-8 (invalid start '
      'byte); save the file as UTF-8')


def test_empty_damaged_and_short_files_are_named(tmp_path):
  _write(tmp_path)
  (tmp_path / 'test.txt').write_text(' \n\n')
  assert message_of(text.load, f'text:{tmp_path}') == (
      f'{tmp_path}/test.txt is empty')
  short = tmp_path / 'short.txt'
  short.write_text('a b c')
  assert 'has 4 tokens, too few' in message_of(text.load, f'text:{short}')
  packed = tmp_path / 'packed.txt.xz'
  packed.write_bytes(lzma.compress(b'a b c' * 100)[:-20])
  assert f'{packed} is damaged' in message_of(text.load, f'text:{packed}')


@pytest.mark.parametrize('arguments, settings, message', [
    (('penn',), {}, "unknown text 'penn'; known are grammar, ptb, wikitext2, "
     'text:PATH'),
    (('ptb:x',), {}, "unknown text 'ptb:x'; known are"),
    (('text:',), {}, "'text:' must be written as text:PATH"),
    (('text:no/such',), {}, 'no/such is neither a file nor a folder'),
    (('ptb',), {}, 'pass --data_dir=DIR'),
    (('ptb', 'no/such'), {}, '--data_dir=no/such is not a folder'),
    (('grammar',), {'unit': 'byte'}, "unit is 'byte', expected one of word"),
    (('grammar',), {'seed': -1}, 'seed -1 must not be negative'),
    (('grammar',), {'max_train': 0}, 'max_train 0 must be at least 1'),
    (('ptb',), {'max_validation': 0}, 'max_validation 0 must be at least 1'),
    (('ptb',), {'max_vocabulary': 1}, 'max_vocabulary 1 must be at least 2'),
    (('grammar',), {'max_vocabulary': 20},
     'max_vocabulary 20 does not go with the grammar: its least perplexity'),
    (('grammar',), {'max_validation': 20},
     'max_validation 20 does not go with the grammar')])
def test_wrong_settings_are_told(arguments, settings, message):
  assert message in message_of(text.load, *arguments, **settings)

