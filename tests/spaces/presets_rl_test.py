import json

import pytest

from nas_jax.spaces import adjacency
from nas_jax.spaces import chain_code
from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.spaces import presets_rl


@pytest.mark.parametrize('name', presets_rl.PRESETS)
def test_presets_survive_json_and_are_hashable(name):
  found = presets_rl.PRESETS[name]
  hash(found)
  text = json.dumps(genotypes.to_json(found.genotype))
  assert genotypes.from_json(json.loads(text)) == found.genotype
  assert presets.load(name) == found


def test_layers_of_nas_rl_v1():
  code = presets_rl.NAS_RL_V1
  chain_code.check(code)
  assert len(code) == 15 and chain_code.unread(code) == (15,)
  assert code[4] == ('conv_3x7', (1, 1), 48, (3, 4))
  assert sum(filters for _, _, filters, _ in code) == 1272 // 2


def test_adjacency_of_autodl_design():
  (_, normal), (_, reduction) = presets_rl.AUTODL_DESIGN
  ones = lambda bits: [i for i, bit in enumerate(bits) if bit]
  assert ones(normal) == [9, 43, 44]
  assert ones(reduction) == [20, 24, 25, 27, 31, 32, 33, 34, 41, 42]
  assert adjacency.leaves(normal, 10) == (0, 1, 2, 4, 5, 6, 9)
  assert adjacency.leaves(reduction, 10) == (0, 1, 2, 7, 8, 9)
