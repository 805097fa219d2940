"""The flags that experiments share, and how a main starts and stops."""

from collections.abc import Callable, Mapping
import dataclasses
import sys
import types
import typing
from typing import Any

from absl import app
from absl import flags
from absl import logging

from nas_jax import checkpoint
from nas_jax import workdir

_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Folder of the run; the same command resumes it.')
_SCALE = flags.DEFINE_enum(
    'scale', 'smoke', ['smoke', 'small', 'paper'],
    'smoke: about a minute or two on two CPU cores; small: under an hour on '
    'one GPU; paper: the published setting.')


def define_settings(kind: type, scales: Mapping[str, Mapping[str, Any]]
                    ) -> Callable[[], Any]:
  """Defines one flag per field of a dataclass; unset ones follow --scale.

  Args:
    kind: a frozen dataclass of settings.
    scales: scale -> values of fields.

  Returns:
    A function that reads the flags into an instance.
  """
  hints = typing.get_type_hints(kind)
  for field in dataclasses.fields(kind):
    values = ', '.join(f'{scale}: {chosen.get(field.name, field.default)}'
                       for scale, chosen in scales.items())
    _DEFINE[_plain(hints[field.name])](
        field.name, None, f'{field.name.replace("_", " ")} ({values})')

  def read():
    chosen = dict(scales[_SCALE.value])
    chosen |= {field.name: flags.FLAGS[field.name].value
               for field in dataclasses.fields(kind)
               if flags.FLAGS[field.name].value is not None}
    return kind(**chosen)

  return read


def workdir_path() -> str:
  """The value of --workdir.

  Raises:
    ValueError: it is not set.
  """
  if not _WORKDIR.value:
    raise ValueError('--workdir is not set: name the folder of the run, for '
                     'example --workdir=runs/first')
  return _WORKDIR.value


def run_main(main: Callable[[], Any]) -> None:
  """Runs a main so that whatever the user can mend is one line."""
  def guarded(argv):
    if len(argv) > 1:
      sys.exit(f'unknown argument {argv[1]!r}: flags start with --')
    try:
      main()
    except (ValueError, checkpoint.CheckpointError) as e:
      logging.debug('failed', exc_info=True)
      sys.exit(f'error: {e}')
    except KeyboardInterrupt:
      sys.exit('interrupted; nothing finished is lost. To go on:\n  '
               + workdir.command())
  logging.set_verbosity(logging.WARNING)
  app.run(guarded)


def _plain(hint: Any) -> type:
  """int | None -> int."""
  if isinstance(hint, types.UnionType):
    hint, = (t for t in typing.get_args(hint) if t is not type(None))
  return hint


_DEFINE = {str: flags.DEFINE_string, int: flags.DEFINE_integer,
           float: flags.DEFINE_float, bool: flags.DEFINE_boolean}
