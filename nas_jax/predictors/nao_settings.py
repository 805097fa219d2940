"""Settings of the model of NAO (encoder_decoder.py), by name."""

from typing import Any, NamedTuple


class Settings(NamedTuple):
  """How a model is built and trained, and how architectures are improved.

  Note: the trade-off is that of the codes; 0.9 is recalled from the paper.
  """
  embedding_size: int  # of a token that the encoder reads
  group: int  # tokens per step of the encoder
  hidden_size: int = 96
  layers: tuple[int, ...] = ()  # hidden ones of the predictor
  attention: str = 'bahdanau'  # normalised, as in TensorFlow; or dot
  init: str = 'uniform'  # in +-0.1; or as PyTorch starts
  encoder_dropout: float = 0.  # of what the encoder reads
  predictor_dropout: float = 0.  # of hidden layers
  trade_off: float = .8  # share of the predictor's loss, lambda
  weight_decay: float = 1e-4  # times half the sum of squares of all weights
  decay_in_loss: bool = True  # clipped with the gradient; or added after
  learning_rate: float = 1e-3
  batch_size: int = 50
  epochs: int = 1000
  clip: float = 5.  # norm of all gradients together
  symmetry: bool = False  # learn from swapped branches of nodes, too
  expand: int = 1  # passes over the data per epoch
  held_out: float = 0.  # share of the data not learned from
  errors: bool = False  # predict errors: the best is 0, and search descends
  step_sizes: tuple[float, ...] = (10., 20., 30.)  # in turn until enough
  num_new: int = 300  # enough
  num_random: int = 0  # fresh random architectures beside them
  predictor_scale: float | None = None  # its weights start in +-; unset: init


# The published codes; see their token codes in spaces/nao.py.
SETTINGS: dict[str, Settings] = {
    # NAO without weight sharing, in TensorFlow.
    'nao': Settings(32, 3, encoder_dropout=.1, errors=True),
    'nao_rnn': Settings(
        96, 1, layers=(200,) * 3, encoder_dropout=.1, predictor_dropout=.1,
        errors=True),
    'nao_ws': Settings(
        48, 2, layers=(100,) * 3, encoder_dropout=.1, predictor_dropout=.1,
        batch_size=100, symmetry=True, errors=True,
        step_sizes=tuple(map(float, range(1, 101))), num_new=500,
        num_random=50),
    # Of recurrent cells, in PyTorch. Note: the attention is assumed.
    'nao_ws_rnn': Settings(
        48, 2, layers=(200,) * 4, attention='dot', init='torch',
        encoder_dropout=.1, decay_in_loss=False, batch_size=100, errors=True,
        step_sizes=tuple(map(float, range(1, 31))), num_random=50,
        predictor_scale=.04),
    # Both versions in PyTorch.
    'pytorch_v1': Settings(
        48, 2, layers=(200,) * 3, attention='dot', init='torch',
        predictor_dropout=.1, decay_in_loss=False, batch_size=100,
        symmetry=True, step_sizes=tuple(map(float, range(1, 51)))),
    'pytorch_v2': Settings(
        32, 2, hidden_size=64, attention='dot', init='torch',
        predictor_dropout=.1, weight_decay=0., decay_in_loss=False,
        batch_size=100, symmetry=True, expand=10, held_out=.1,
        step_sizes=tuple(map(float, range(1, 51)))),
}


def load(settings: str | Settings, **changes: Any) -> Settings:
  """Settings by name, with other values of some fields.

  Raises:
    ValueError: an unknown name or field.
  """
  if isinstance(settings, str):
    if settings not in SETTINGS:
      raise ValueError(f'unknown settings {settings!r}, expected one of '
                       f'{", ".join(SETTINGS)}')
    settings = SETTINGS[settings]
  for name in changes:
    if name not in Settings._fields:
      raise ValueError(f'unknown setting {name!r}, expected some of '
                       f'{", ".join(Settings._fields)}')
  return settings._replace(**changes)


def check(settings: Settings) -> None:
  """Raises ValueError for a setting out of range."""
  for name in ('embedding_size', 'group', 'hidden_size', 'batch_size',
               'epochs', 'expand', 'num_new'):
    if getattr(settings, name) < 1:
      raise ValueError(
          f'{name} must be at least 1, got {getattr(settings, name)}')
  for name in ('learning_rate', 'clip'):
    if not getattr(settings, name) > 0:
      raise ValueError(
          f'{name} must be positive, got {getattr(settings, name)}')
  for name, most in dict(encoder_dropout=1, predictor_dropout=1, held_out=1,
                         trade_off=1.000001).items():
    if not 0 <= getattr(settings, name) < most:
      raise ValueError(f'{name} is {getattr(settings, name)}, which is not in '
                       '0..1')
  for name, known in dict(attention=('bahdanau', 'dot'),
                          init=('uniform', 'torch')).items():
    if getattr(settings, name) not in known:
      raise ValueError(f'unknown {name} {getattr(settings, name)!r}, expected '
                       f'{" or ".join(known)}')
  if not settings.step_sizes or min(settings.step_sizes) <= 0:
    raise ValueError(f'step_sizes {settings.step_sizes} must be some positive '
                     'numbers')
