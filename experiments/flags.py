"""The flags that experiments share, and how a main starts and stops."""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import inspect
import os
import pathlib
import re
import signal
import sys
import threading
import types
import typing
from typing import Any

from absl import app
from absl import flags
from absl import logging

from nas_jax import checkpoint
from nas_jax import memory
from nas_jax import workdir as workdirs

Scales = Mapping[str, Mapping[str, Any]]

_GRACE_SECONDS = 3.
# Python prints and drops what is raised in JAX's callback of the garbage
# collector and in destructors: the signal is sent again a moment later.
_EXCEPTIONS_ARE_LOST = ('_xla_gc_callback', '__del__')
_COMMENT = re.compile(r'^  (\w+): .*?  # (.*)$', re.MULTILINE)
_DEFINE = {str: flags.DEFINE_string, int: flags.DEFINE_integer,
           float: flags.DEFINE_float, bool: flags.DEFINE_boolean}
# --help lists a flag under the module that asks for it, the main.
flags.disclaim_key_flags()


def run(main: Callable[[pathlib.Path, Any], Any], kind: type, scales: Scales
        ) -> None:
  """Calls main(workdir, settings); whatever the user can mend is one line.

  Args:
    main: the experiment.
    kind: a frozen dataclass of settings, see `define`.
    scales: see `define`.
  """
  define(kind, scales)

  def start():
    workdir, settings = read(kind, scales)
    with errors_in_one_line(workdir):
      main(workdir, settings)

  _run(start)


def run_script(main: Callable[[Any], Any], kind: type) -> None:
  """Calls main(settings), for programs without a workdir of their own.

  Args:
    main: the program.
    kind: a frozen dataclass; each field is a flag, its comment the help.
  """
  _define_fields(kind, {'': {}}, flags.FLAGS)
  _run(lambda: main(kind(**{
      field.name: getattr(flags.FLAGS, field.name)
      for field in dataclasses.fields(kind)
      if getattr(flags.FLAGS, field.name) is not None})))


@contextlib.contextmanager
def errors_in_one_line(workdir: pathlib.Path | None = None) -> Iterator[None]:
  """Exits with a line on what the user can mend; traces with --verbosity=1."""
  try:
    yield
  except (ValueError, checkpoint.CheckpointError) as e:
    _fail(str(e))
  except OSError as e:
    _fail(f'{e.filename or workdir}: {e.strerror or e}. Nothing finished is '
          'lost: the same command goes on')
  except KeyboardInterrupt as e:
    _leave(*e.args or (signal.SIGINT,))


def define(kind: type, scales: Scales,
           values: flags.FlagValues = flags.FLAGS) -> None:
  """Defines --workdir, --scale, and one flag per field of a dataclass.

  Args:
    kind: a frozen dataclass with a field `scale`; the comment on a field is
      the help of its flag.
    scales: scale -> values of fields that are not set; fields that `kind`
      does not have are left out.
    values: where they are defined.
  """
  flags.DEFINE_string(
      'workdir', None, 'folder of the run; the same command resumes it',
      flag_values=values)
  _define_fields(kind, scales, values)


def read(kind: type, scales: Scales, values: flags.FlagValues = flags.FLAGS
         ) -> tuple[pathlib.Path, Any]:
  """The workdir and the settings; what is not set follows --scale.

  Raises:
    ValueError: --workdir is not set, or the settings do not fit together.
  """
  names = [field.name for field in dataclasses.fields(kind)]
  chosen = {k: v for k, v in scales[values.scale].items() if k in names}
  chosen |= {k: values[k].value for k in names if values[k].value is not None}
  if not values.workdir:
    raise ValueError('--workdir is not set: name the folder of the run, for '
                     'example --workdir=runs/first')
  return pathlib.Path(values.workdir), kind(**chosen)


def help_of(kind: type) -> dict[str, str]:
  """The comments on the fields of a dataclass and of those it extends.

  One that was made of another says so: `documented_by`.
  """
  return {name: text for part in reversed(kind.__mro__[:-1])
          for name, text in _COMMENT.findall(inspect.getsource(
              vars(part).get('documented_by', part)))}


def is_set(name: str) -> bool:
  """Whether the command line turns a boolean flag on, before it is parsed."""
  found = False
  for argument in sys.argv[1:]:
    word, _, value = argument.lstrip('-').partition('=')
    if argument.startswith('-') and word in (name, f'no{name}'):
      found = word == name and value.lower() in ('', 'true', 't', '1')
  return found


def value_of(name: str) -> str | None:
  """What the command line gives a flag, before it is parsed; the last counts.
  """
  found = None
  for argument, following in zip(sys.argv[1:], [*sys.argv[2:], None]):
    word, equals, value = argument.lstrip('-').partition('=')
    if argument.startswith('-') and word == name:
      found = value if equals else following
  return found


def ignore_interrupt() -> None:
  """For processes whose parent is interrupted with them and ends them."""
  signal.signal(signal.SIGINT, signal.SIG_IGN)
  logging.set_verbosity(logging.WARNING)


def _define_fields(kind, scales, values) -> None:
  helps, hints = help_of(kind), typing.get_type_hints(kind)
  for field in dataclasses.fields(kind):
    text = helps[field.name]
    if field.name == 'scale':
      flags.DEFINE_enum('scale', next(iter(scales)), list(scales), text,
                        flag_values=values)
      continue
    found = {scale: chosen.get(field.name, field.default)
             for scale, chosen in scales.items()}
    shown = ', '.join(f'{scale}: {value}' for scale, value in found.items())
    if len(set(found.values())) == 1:
      shown = str(next(iter(found.values())))
    if shown != 'None':
      text = f'{text} ({shown})'
    _DEFINE[_plain(hints[field.name])](
        field.name, None, text, flag_values=values)


def _run(main: Callable[[], None]) -> None:
  """Parses the flags and calls main()."""
  logging.set_verbosity(logging.WARNING)
  memory.keep_freed_memory()
  for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, _interrupt)

  def guarded(argv):
    try:
      with errors_in_one_line():
        if len(argv) > 1:
          raise ValueError(
              f'unknown argument {argv[1]!r}: flags start with --')
        main()
    except SystemExit as e:
      _end(str(e.code), 1)

  app.run(guarded, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
  try:
    return flags.FLAGS(argv)
  except flags.Error as e:
    _fail(str(e).removesuffix(' Pass --helpshort or --helpfull to see help on '
                              'flags.'))


def _fail(message: str) -> None:
  logging.debug('failed', exc_info=True)
  sys.exit('error: ' + ' '.join(message.split('\n')))


def _interrupt(number: int, frame: Any) -> None:
  outer = frame
  while outer is not None:
    if outer.f_code.co_name in _EXCEPTIONS_ARE_LOST:
      threading.Timer(.05, os.kill, [os.getpid(), number]).start()
      return
    outer = outer.f_back
  # A compilation in another thread cannot be stopped and may take minutes.
  # Files are written as if the power could fail, so none is waited for.
  timer = threading.Timer(_GRACE_SECONDS, _leave, [number])
  timer.daemon = True
  timer.start()
  raise KeyboardInterrupt(number)


def _leave(number: int) -> None:
  _end('\ninterrupted; nothing finished is lost. To go on:\n  '
       + workdirs.command(), 128 + number)


def _end(message: str, status: int) -> None:
  """Ends the process at once.

  Its threads may be compiling, and its exit handlers may fail as it failed
  itself, on a full disk for example.
  """
  print(message, file=sys.stderr)
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(status)


def _plain(hint: Any) -> type:
  """int | None -> int."""
  if isinstance(hint, types.UnionType):
    hint, = (t for t in typing.get_args(hint) if t is not type(None))
  return hint
