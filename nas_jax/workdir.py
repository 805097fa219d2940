"""The folder of a run: whose it is, and what it ran on."""

import importlib.metadata
import os
import pathlib
import platform
import shlex
import sys
import time
from typing import Any
import zlib

from absl import logging
import jax
from jax.experimental.compilation_cache import compilation_cache

from nas_jax import records

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'numpy')
# Where things are and on what they run does not make it another run.
_FREE = ('data_dir', 'num_devices', 'execution', 'architecture')
_CLOCK_SECONDS = 2.  # by which clocks of file systems may differ
_ZSTD = b'\x28\xb5\x2f\xfd'


def claim(folder: str | os.PathLike, experiment: str, settings: dict[str, Any]
          ) -> None:
  """Writes `config.json`, or checks that it is of the same run.

  Args:
    folder: made if it does not exist.
    experiment: its name.
    settings: all that the result depends on.

  Raises:
    ValueError: the folder holds another run (prints every difference), or
      is a file.
  """
  folder = pathlib.Path(folder)
  if folder.exists() and not folder.is_dir():
    raise ValueError(f'{folder} is a file: choose another --workdir')
  path = folder / 'config.json'
  config = {'experiment': experiment, 'flags': settings,
            'versions': versions(), 'command': command()}
  if path.exists():
    found = records.read_json(path)
    differences = [
        f'{name} was {old!r}, is now {new!r}'
        for name, old, new in [
            ('experiment', found.get('experiment'), experiment)] + [
                (name, found.get('flags', {}).get(name), settings.get(name))
                for name in sorted(
                    set(settings) | set(found.get('flags', {})))]
        if old != new and name not in _FREE]
    if differences:
      raise ValueError(
          f'{folder} holds a run with other settings: '
          f'{"; ".join(differences)}. Choose another --workdir, or delete it')
    changed = {name: (old, config['versions'].get(name))
               for name, old in found.get('versions', {}).items()
               if old != config['versions'].get(name)}
    for name, (old, new) in changed.items():
      logging.warning('%s was started with %s %s, goes on with %s', folder,
                      name, old, new)
    return
  folder.mkdir(parents=True, exist_ok=True)
  records.write_json(path, config)


def use_compilation_cache(folder: str | os.PathLike) -> None:
  """Keeps every compiled program under `folder/xla_cache`.

  A cache that the user has chosen, as by JAX_COMPILATION_CACHE_DIR, is used
  instead.
  """
  if jax.config.jax_compilation_cache_dir:
    return
  cache = pathlib.Path(folder).absolute() / 'xla_cache'
  _drop_cut_entries(cache)
  jax.config.update('jax_compilation_cache_dir', str(cache))
  # JAX settles for a cache, or none, when it compiles for the first time.
  compilation_cache.reset_cache()
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.)
  jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)


def header(experiment: str, dataset: str, settings: Any) -> dict[str, Any]:
  """How every summary begins."""
  return {'experiment': experiment, 'scale': settings.scale,
          'dataset': dataset, 'seed': settings.seed,
          'hardware': hardware(getattr(settings, 'num_devices', 1)),
          'versions': versions()}


def versions() -> dict[str, str]:
  """Of Python and the packages that results depend on."""
  found = {'python': platform.python_version()}
  for name in ('nas_jax', *_PACKAGES):
    try:
      found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
      found[name] = 'not installed'
  return found


def hardware(num_devices: int) -> dict[str, Any]:
  """What the run ran on."""
  device = jax.local_devices()[0]
  found = {'platform': device.platform, 'device': device.device_kind,
           'num_devices': num_devices, 'cpu_count': os.cpu_count(),
           'processor': _processor()}
  if hasattr(os, 'sysconf'):
    pages = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    found['memory_gib'] = round(pages / 2**30, 1)
  return found


def command() -> str:
  """The command line of this process as a user would type it."""
  spec = getattr(sys.modules.get('__main__'), '__spec__', None)
  script = ['-m', spec.name] if spec else sys.argv[:1]
  return shlex.join(['python', *script, *sys.argv[1:]])


def _processor() -> str:
  try:
    for line in pathlib.Path('/proc/cpuinfo').read_text().splitlines():
      if line.startswith('model name'):
        return line.split(':', 1)[1].strip()
  except OSError:
    logging.debug('no /proc/cpuinfo')
  return platform.processor() or platform.machine()


def _drop_cut_entries(cache: pathlib.Path) -> None:
  """Deletes what a killed process or a full disk left half written.

  JAX passes over such an entry, but warns and compiles again at every start,
  and never replaces it. Each entry is looked at once, at the next start.
  """
  cache.mkdir(parents=True, exist_ok=True)
  marker = cache / 'checked'
  since = marker.stat().st_mtime if marker.exists() else 0.
  now = time.time()
  for path in cache.glob('*-cache'):
    if path.stat().st_mtime < since - _CLOCK_SECONDS:
      continue
    content = path.read_bytes()
    if content[:4] == _ZSTD:  # JAX's choice where it is installed.
      continue
    try:
      zlib.decompress(content)
    except zlib.error:
      path.unlink(missing_ok=True)
  marker.touch()
  os.utime(marker, (now, now))
