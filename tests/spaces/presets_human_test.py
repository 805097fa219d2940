import pytest

from nas_jax.spaces import genotypes
from nas_jax.spaces import presets
from nas_jax.spaces import presets_human


@pytest.mark.parametrize('name', presets_human.PRESETS)
def test_a_preset_survives_a_file(tmp_path, name):
  found = presets_human.PRESETS[name]
  path = tmp_path / 'genotype.json'
  genotypes.save(path, found.genotype, family=found.family)
  assert presets.load(path) == presets.load(name) == found
  hash(found)


@pytest.mark.parametrize('written, family, genotype', [
    ('wrn-28-10', 'wide_resnet', (28, 10)),
    ('resnet110', 'resnet', (110, 'A')),
    ('densenet_bc_190_40', 'densenet_bc', (190, 40)),
    ('Shake-Shake 26 2x96d', 'shake_shake', (26, 96)),
    ('pyramidnet-272-200', 'pyramidnet_bottleneck', (272, 200)),
    ('resnet-50', 'resnet_imagenet', (3, 4, 6, 3)),
])
def test_names_as_users_write_them(written, family, genotype):
  found = presets.load(written)
  assert (found.family, found.genotype) == (family, genotype)


def test_a_misspelt_name():
  with pytest.raises(ValueError, match='Did you mean .*WRN-28-10'):
    presets.load('WRN-28-11')
