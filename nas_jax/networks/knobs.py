"""Checks of the arguments that all families of networks share."""

from nas_jax.networks import image


def check(
    family: str, *, features: int | None, num_cells: int | None,
    takes: tuple[str, ...], auxiliary: bool, drop_path_keep: float,
    dropout_keep: float,
) -> None:
  """For a family without auxiliary classifier and without drop path.

  Args:
    family: its name, for messages.
    features: as given to `build`.
    num_cells: as given to `build`.
    takes: which of 'features' and 'num_cells' the family has.
    auxiliary: as given to `build`.
    drop_path_keep: as given to `build`.
    dropout_keep: as given to `build`.

  Raises:
    ValueError: what the family does not have, or a number out of range.
  """
  for name, value in (('features', features), ('num_cells', num_cells)):
    if name not in takes and value is not None:
      raise ValueError(f'{name} is {value}, but the genotype of a network of '
                       f'the family {family} says all sizes')
    if name in takes and (value is None or value < 1):
      raise ValueError(f'{name} is {value}, expected at least 1')
  if auxiliary:
    raise ValueError(
        f'networks of the family {family} have no auxiliary classifier')
  image.check_keep(drop_path_keep, dropout_keep)
  if drop_path_keep < 1:
    raise ValueError(f'drop_path_keep is {drop_path_keep}, but networks of the '
                     f'family {family} drop no paths')
