"""Published architectures by name, and architectures from files."""

import difflib
import os
import pathlib
import re

from nas_jax.spaces import genotypes
from nas_jax.spaces import preset
from nas_jax.spaces import presets_bench
from nas_jax.spaces import presets_darts
from nas_jax.spaces import presets_human
from nas_jax.spaces import presets_nasnet
from nas_jax.spaces import presets_recurrent
from nas_jax.spaces import presets_rl
from nas_jax.spaces import presets_single_path

Preset = preset.Preset

PRESETS: dict[str, Preset] = {
    **presets_darts.PRESETS,
    **presets_nasnet.PRESETS,
    **presets_rl.PRESETS,
    **presets_human.PRESETS,
    **presets_single_path.PRESETS,
    **presets_bench.PRESETS,
    **presets_recurrent.PRESETS,
}

# Of a file that does not say its family.
_DEFAULT_FAMILY = 'darts'


def load(name_or_file: str | os.PathLike) -> Preset:
  """A preset by name, the architecture in a file, or that of a run.

  Case and punctuation of a name do not matter: darts-v2 is DARTS_V2.

  Args:
    name_or_file: a key of `PRESETS`; a file that holds a genotype, see
      genotypes.py, of the family of DARTS if it does not say another; or a
      workdir with such a genotype.json.

  Raises:
    ValueError: nothing of this; names what is nearest.
  """
  name = os.fspath(name_or_file)
  known = {_plain(key): key for key in PRESETS}
  if _plain(name) in known:
    return PRESETS[known[_plain(name)]]
  path = pathlib.Path(name)
  if path.is_dir():
    path = path / 'genotype.json'
    if not path.exists():
      raise ValueError(f'{name} has no genotype.json: it is not the workdir of '
                       'a run that has chosen an architecture')
  if not path.exists():
    raise ValueError(f'{name} is neither a file nor a known architecture. '
                     f'{_nearest(name, known)}')
  family, genotype = genotypes.load_with_family(path)
  is_cells = isinstance(genotype, genotypes.Genotype)
  if not family and not is_cells:
    raise ValueError(
        f'{path} holds a list, expected an object with '
        f'{", ".join(genotypes.Genotype._fields)}, or one with family and '
        'genotype')
  return Preset(family or _DEFAULT_FAMILY, genotype)


def _nearest(name: str, known: dict[str, str]) -> str:
  close = difflib.get_close_matches(_plain(name), known, 4, 0.55)
  if close:
    return f'Did you mean {" or ".join(known[key] for key in close)}?'
  return f'Known are {", ".join(PRESETS)}'


def _plain(name: str) -> str:
  return re.sub('[^a-z0-9]', '', name.lower())
