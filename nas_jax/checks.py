"""What settings of any kind are checked for."""

from collections.abc import Iterable
from typing import Any


def at_least(settings: Any, least: int, *names: str) -> None:
  """Raises ValueError where a setting is less; None passes."""
  for name in names:
    value = getattr(settings, name)
    if value is not None and value < least:
      raise ValueError(f'{name} is {value}, expected at least {least}')


def one_of(name: str, value: Any, choices: Iterable[str | None]) -> None:
  """Raises ValueError unless a setting is among the choices."""
  choices = tuple(choices)
  if value not in choices:
    raise ValueError(f'{name} is {value!r}, expected one of '
                     f'{", ".join(filter(None, choices))}')
