import jax
import numpy as np
import pytest

from nas_jax.spaces import arcs
from nas_jax.spaces import discrete
from nas_jax.spaces import nao
from nas_jax.spaces import nao_tokens
from nas_jax.spaces import presets_nasnet as presets
from nas_jax.spaces import sequences

_WS = ('1 8 1 11 3 9 2 10 2 7 3 7 3 10 2 10 2 9 1 11 '
       '2 8 1 10 3 10 3 10 2 7 1 8 1 11 3 11 3 10 3 10')


def _integers(text):
  return np.array(text.split(), int)


def test_as_many_cells_as_published():
  assert len(nao.OPERATIONS) == 11 and len(nao.WS_OPERATIONS) == 5
  for operations, number in ((nao.OPERATIONS, 13_445_960_913_158_400),
                             (nao.WS_OPERATIONS, 5_062_500_000_000)):
    assert discrete.size(nao.space(operations).choices) == number**2


def test_names_samples_and_mutations():
  space = nao.space()
  genomes = jax.vmap(space.sample)(jax.random.split(jax.random.key(0), 20))
  assert bool(discrete.is_legal(space.choices, genomes).all())
  assert len({space.genotype(g) for g in genomes}) == 20
  for genome in genomes[:3]:
    assert (space.encode(space.genotype(genome)) == genome).all()
  changed = jax.vmap(space.mutate)(
      jax.random.split(jax.random.key(1), 20), genomes)
  assert bool(discrete.is_legal(space.choices, changed).all())
  assert 1 <= (changed != genomes).sum() <= 20
  decoded = space.decode(genomes[0])
  assert decoded.inputs.shape == (2, 5, 2)
  assert decoded.inputs.ravel().tolist() == genomes[0][::2].tolist()
  with pytest.raises(ValueError, match='int32'):
    space.genotype(np.zeros(3, np.int32))


def test_the_genome_is_the_published_string_of_integers():
  space = nao.space()
  genome = space.encode(arcs.parse(presets.NAONET_A_ARC, arcs.NAO))
  numbers = _integers(presets.NAONET_A_ARC)
  numbers[1::2] -= 5
  assert genome.tolist() == numbers.tolist()


def test_60_tokens_of_21():
  space = nao.space()
  code = nao.long_code(space)
  assert (code.vocabulary, len(code.positions)) == (21, 60)
  genome = space.encode(nao_tokens.parse(presets.NAONET_TOKENS))
  tokens = sequences.to_tokens(code, genome)
  assert tokens.tolist() == _integers(presets.NAONET_TOKENS).tolist()
  assert (sequences.to_genomes(code, tokens) == genome).all()
  genomes = jax.vmap(space.sample)(jax.random.split(jax.random.key(0), 50))
  tokens = sequences.to_tokens(code, genomes)
  assert sequences.is_legal(code, tokens).all()
  assert (sequences.to_genomes(code, tokens) == genomes).all()
  assert nao_tokens.tokens(space.genotype(genomes[7])) == tuple(
      tokens[7].tolist())


def test_40_tokens_of_12():
  space = nao.space(nao.WS_OPERATIONS)
  code = nao.short_code(space)
  assert (code.vocabulary, len(code.positions)) == (12, 40)
  for text in (_WS, ' '.join(map(str, nao_tokens.tokens_ws(
      arcs.parse(presets.NAONET_B_ARC))))):
    genome = space.encode(nao_tokens.parse_ws(text))
    tokens = sequences.to_tokens(code, genome)
    assert tokens.tolist() == _integers(text).tolist()
    assert (sequences.to_genomes(code, tokens) == genome).all()


def test_node_k_admits_k_plus_2_inputs():
  for code, width in ((nao.short_code(nao.space(nao.WS_OPERATIONS)), 2),
                      (nao.long_code(nao.space()), 3)):
    for t in range(0, len(code.positions), width):
      k = t // (2 * width) % 5
      assert (code.legal[t] == code.legal[t][:1]).all()
      assert np.flatnonzero(code.legal[t, 0]).tolist() == [*range(1, k + 3)]


def test_types_and_sizes_have_masks_of_their_own():
  code = nao.long_code(nao.space())
  assert np.flatnonzero(code.legal[1, 1]).tolist() == [7, 9, 11, 12]
  sizes = {t: np.flatnonzero(code.legal[2, t]).tolist() for t in range(21)}
  assert sizes == {t: {7: [14], 9: [14, 16, 19, 20], 11: [15, 16, 17],
                       12: [15, 16, 17]}.get(t, []) for t in range(21)}


def test_swapping_twice_changes_nothing():
  space = nao.space()
  genome = space.encode(nao_tokens.parse(presets.NAONET_TOKENS))
  for code in nao.short_code(space), nao.long_code(space):
    assert code.swaps.shape[:2] == (2, 5)
    tokens = np.asarray(sequences.to_tokens(code, genome))
    for i, group in enumerate(code.swaps):
      for node, order in enumerate(group):
        swapped = tokens[order]
        assert sequences.is_legal(code, swapped)
        assert (swapped[order] == tokens).all()
        moved = np.flatnonzero(order != np.arange(len(order)))
        width = len(order) // 10
        assert moved.tolist() == [*range((5 * i + node) * width,
                                         (5 * i + node + 1) * width)]


def test_what_cannot_be_written():
  with pytest.raises(ValueError, match='at most five nodes'):
    nao.long_code(nao.space(num_nodes=6))
  with pytest.raises(ValueError, match="'none' has no type and size"):
    nao.long_code(nao.space(('none',)))
