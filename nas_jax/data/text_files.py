"""Files of text: where they lie, and what is wrong with them."""

import gzip
import lzma
import pathlib
import zlib
from collections.abc import Sequence

from nas_jax.data import source

_OPENERS = {'.xz': lzma.decompress, '.gz': gzip.decompress}
_PARTS = {'train': ('train',), 'validation': ('valid', 'validation'),
          'test': ('test',)}
_PTB = 'ptb.{}.txt'
_WIKITEXT = 'wiki.{}.tokens'
_PLAIN = '{}.txt'
# Names of files, and folders in which they lie, of their own first: beside
# one of them may lie another text.
_PATTERNS = {'ptb': (_PTB, _PLAIN), 'wikitext2': (_WIKITEXT, _PLAIN)}
_FOLDERS = {'ptb': ('ptb', 'penn', 'simple-examples/data', ''),
            'wikitext2': ('wikitext2', 'wikitext-2', '')}


def read_named(name: str, data_dir: str | None) -> list[str]:
  """The three parts of 'ptb' or 'wikitext2', below `data_dir`.

  Raises:
    ValueError: no such folder, missing, damaged or undecodable files.
  """
  root = source.data_folder(name, data_dir)
  places = [root / folder for folder in _FOLDERS[name]]
  return _read_parts(name, places, _PATTERNS[name])


def read_path(name: str, path: str) -> list[str]:
  """The one text of a file, or the three parts that a folder holds.

  Raises:
    ValueError: neither file nor folder, missing, damaged or undecodable
      files, an empty file.
  """
  place = pathlib.Path(path).expanduser()
  if place.is_dir():
    return _read_parts(name, [place], (_PLAIN, _PTB, _WIKITEXT))
  if not place.is_file():
    raise ValueError(f'{name!r}: {place} is neither a file nor a folder')
  return [read(place)]


def read(path: pathlib.Path) -> str:
  """The text of one file, UTF-8, unpacked where its name says so.

  Raises:
    ValueError: it is damaged, empty, or has a byte that is not UTF-8; then
      line and byte are told, both counted from 1.
  """
  data = path.read_bytes()
  unpack = _OPENERS.get(path.suffix)
  if unpack is not None:
    try:
      data = unpack(data)
    except (lzma.LZMAError, zlib.error, EOFError, OSError) as error:
      raise ValueError(f'{path} is damaged: {error}') from None
  if not data.strip():
    raise ValueError(f'{path} is empty')
  try:
    return data.decode('utf-8').removeprefix('\ufeff')
  except UnicodeDecodeError as error:
    line = data.count(b'\n', 0, error.start) + 1
    byte = error.start - data.rfind(b'\n', 0, error.start)
    raise ValueError(
        f'{path}, line {line}, byte {byte}: 0x{data[error.start]:02x} is not '
        f'UTF-8 ({error.reason}); save the file as UTF-8') from None


def _read_parts(
    name: str, places: Sequence[pathlib.Path], patterns: Sequence[str]
) -> list[str]:
  training = _find(name, 'train', places, patterns)
  # The others lie beside the training part.
  others = [_find(name, part, [training.parent], patterns)
            for part in ('validation', 'test')]
  return [read(path) for path in (training, *others)]


def _find(
    name: str, part: str, places: Sequence[pathlib.Path],
    patterns: Sequence[str],
) -> pathlib.Path:
  endings = ('', *_OPENERS)
  names = [pattern.format(word) for pattern in patterns
           for word in _PARTS[part]]
  for place in places:
    for file in names:
      for ending in endings:
        if (place / (file + ending)).is_file():
          return place / (file + ending)
  raise ValueError(
      f'{name!r}: no file of the {part} part; looked for {", ".join(names)} '
      f'(or with {", ".join(_OPENERS)} at the end) in '
      f'{", ".join(map(str, places))}')
