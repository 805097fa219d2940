import pytest

from nas_jax.spaces import genotypes
from nas_jax.spaces import nasbench101
from nas_jax.spaces import nasbench201
from nas_jax.spaces import presets
from nas_jax.spaces import presets_bench


@pytest.mark.parametrize('name', presets_bench.PRESETS)
def test_a_preset_survives_a_file(tmp_path, name):
  found = presets_bench.PRESETS[name]
  path = tmp_path / 'genotype.json'
  genotypes.save(path, found.genotype, family=found.family)
  assert presets.load(path) == presets.load(name) == found
  hash(found)


# The key of each in the benchmark's records.
@pytest.mark.parametrize('name, expected', [
    ('Inception', '28cfc7874f6d200472e1a9dcd8650aa0'),
    ('ResNet', 'b5fb4f6193360330b6ff6a52cbf0cad7'),
    ('conv3x3', 'b3bc0991ac661443a583796ce582f11f'),
    ('conv1x1', 'f7f0e45d0ca871370dbd782062ad03ab'),
    ('maxpool3x3', '57ce398bf6e143974d21b0046b4c85e3'),
    ('identity', '043721b9c7fe8c5fad811d47d83132ec'),
])
def test_named_cells_of_nasbench101(name, expected):
  genotype = presets.load(f'NAS-Bench-101:{name}').genotype
  assert nasbench101.fingerprint(nasbench101.Cell(*genotype)) == expected


def test_named_cells_of_nasbench201_as_strings():
  assert nasbench201.to_string(
      presets.load('NAS-Bench-201:ResNet').genotype) == (
          '|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+'
          '|skip_connect~0|none~1|skip_connect~2|')
