"""How a network is trained: frozen settings, and the published ones by name.

A recipe holds everything but the network and the data, so that two runs with
equal recipes differ only in what is compared. The comment on a field is the
help of its flag.
"""

from collections.abc import Mapping
import dataclasses

# Those of the second line change between epochs, the others between steps.
SCHEDULES = (
    'constant', 'cosine', 'linear', 'exponential',
    'steps', 'cosine_per_epoch', 'restarts', 'linear_tail')
OPTIMIZERS = ('sgd', 'rmsprop', 'adam')
DECAYED = ('all', 'no_biases', 'weights')
CUTOUTS = ('centre', 'corner')
STANDARDISATIONS = ('channels', 'image', 'image_root')
TAIL_EPOCHS = 5  # of linear_tail


@dataclasses.dataclass(frozen=True)
class Recipe:
  """What a training depends on, apart from network, data and seed.

  `schedules.py` says what the schedules are, `optimizers.py` what the
  optimizers and the decay are, `data/augment.py` what happens to images.

  Raises:
    ValueError: a setting out of range.
  """
  epochs: int  # passes over the training images
  batch_size: int = 128  # images per step
  fill_last: bool = False  # fill an incomplete batch, instead of leaving it out
  accumulate: int = 1  # parts of a batch, one after the other, to save memory
  optimizer: str = 'sgd'  # sgd, rmsprop (TensorFlow's) or adam
  learning_rate: float = 0.024  # at its largest
  final_learning_rate: float = 0.  # where a cosine or a straight line ends
  schedule: str = 'cosine'  # cosine, linear, exponential, steps, restarts, ...
  schedule_epochs: int | None = None  # length of the schedule; unset, epochs
  warmup_epochs: float = 0.  # of a linear rise before the schedule
  restart_epochs: int = 10  # restarts: of the first cosine, then doubled
  milestones: str = ''  # steps: shares of the epochs, such as 0.5,0.75
  decay_rate: float = 0.1  # steps, exponential: factor of the learning rate
  decay_epochs: float = 1.  # exponential: between two decays
  momentum: float = 0.9  # of the update; adam: of the mean
  nesterov: bool = False  # whether the momentum looks ahead
  rms_decay: float = 0.9  # rmsprop, adam: of the mean square
  rms_epsilon: float = 1.  # added to the mean square; adam: to its root
  weight_decay: float = 5e-4  # times the parameter is added to the gradient
  decayed: str = 'all'  # all, no_biases (norms are), weights (no norms either)
  decay_in_loss: bool = False  # the decay is clipped with the gradient
  clip_norm: float | None = 5.  # global norm of a gradient; 0 for no limit
  label_smoothing: float = 0.  # mass spread over all classes
  auxiliary_weight: float = 0.  # of the second classifier; 0 for none
  drop_path_keep: float = 1.  # of a path at the end of training
  drop_path_per_epoch: bool = False  # it grows between epochs, not steps
  drop_path_uniform: bool = False  # the same in all cells, whatever the family
  dropout_keep: float | None = None  # before the classifier; unset, its own
  mixup: float = 0.  # alpha of the Beta distribution; 0 for none
  lrc_weight: float = 0.  # of the local Rademacher complexity in the loss
  ema_decay: float = 0.  # of averaged weights, which are tested; 0 for none
  crop_padding: int = 4  # pixels around an image before the crop; 0 for no crop
  resized_crop: float = 0.  # least area of a crop that is resized; 0 for none
  flip: bool = True  # mirror images
  colour_jitter: float = 0.  # of brightness, contrast, saturation; 0 for none
  hue_jitter: float = 0.  # part of the circle, with colour_jitter
  cutout_length: int = 0  # side of the erased square; 0 for none
  cutout: str = 'centre'  # what of the square is uniform: centre or corner
  standardise: str = 'channels'  # channels, image, or image_root (AutoDL)
  eval_batch_size: int = 500  # images per step of a test
  patience: int | None = None  # stop after so many epochs not better
  eval_every: int = 1  # epochs between validations, with patience

  def __post_init__(self):
    # 0 is what a flag can say.
    object.__setattr__(self, 'clip_norm', self.clip_norm or None)
    for name in ('epochs', 'batch_size', 'accumulate', 'eval_batch_size',
                 'learning_rate', 'eval_every', 'restart_epochs',
                 'decay_epochs', 'decay_rate', 'rms_epsilon', 'clip_norm',
                 'schedule_epochs'):
      value = getattr(self, name)
      if value is not None and not value > 0:
        raise ValueError(f'{name} is {value}, expected a positive number')
    for name, most in (('resized_crop', 1.), ('colour_jitter', 1.),
                       ('hue_jitter', .5)):
      if not 0 <= getattr(self, name) <= most:
        raise ValueError(f'{name} is {getattr(self, name)}, expected a number '
                         f'in 0..{most}')
    for name in ('final_learning_rate', 'warmup_epochs', 'weight_decay',
                 'auxiliary_weight', 'mixup', 'lrc_weight', 'crop_padding'):
      if not getattr(self, name) >= 0:
        raise ValueError(
            f'{name} is {getattr(self, name)}, expected 0 or more')
    for name in ('momentum', 'rms_decay', 'ema_decay', 'label_smoothing'):
      if not 0 <= getattr(self, name) < 1:
        raise ValueError(
            f'{name} is {getattr(self, name)}, expected a number in [0, 1)')
    for name in ('drop_path_keep', 'dropout_keep'):
      value = getattr(self, name)
      if value is not None and not 0 < value <= 1:
        raise ValueError(
            f'{name} is {value}, expected a probability in (0, 1]')
    for name, choices in (
        ('schedule', SCHEDULES), ('optimizer', OPTIMIZERS),
        ('decayed', DECAYED), ('cutout', CUTOUTS),
        ('standardise', STANDARDISATIONS)):
      if getattr(self, name) not in choices:
        raise ValueError(f'{name} is {getattr(self, name)!r}, expected one of '
                         f'{choices}')
    if self.cutout_length < 0 or self.cutout_length % 2:
      raise ValueError(f'cutout_length is {self.cutout_length}, expected an '
                       'even number')
    if self.batch_size % self.accumulate:
      raise ValueError(f'batch_size {self.batch_size} does not split into '
                       f'{self.accumulate} parts (accumulate)')
    if self.schedule == 'linear_tail' and self.epochs <= TAIL_EPOCHS:
      raise ValueError(
          f'schedule linear_tail has a tail of {TAIL_EPOCHS} epochs, but '
          f'epochs is {self.epochs}: choose more, or schedule linear')
    self.shares()

  def shares(self) -> tuple[float, ...]:
    """The milestones as numbers in (0, 1)."""
    try:
      found = tuple(float(x) for x in self.milestones.split(',') if x)
    except ValueError:
      found = (0.,)
    if not all(0 < x < 1 for x in found):
      raise ValueError(f'milestones is {self.milestones!r}, expected shares of '
                       'the epochs between 0 and 1, such as 0.5,0.75')
    return found


# Every field as an option: what is None is the recipe's.
Overrides = dataclasses.make_dataclass('Overrides', [
    (field.name, field.type | None, None)
    for field in dataclasses.fields(Recipe)], frozen=True)
Overrides.documented_by = Recipe


def override(recipe: Recipe, overrides: Overrides) -> Recipe:
  """The recipe with the fields of `overrides` that are not None."""
  names = [field.name for field in dataclasses.fields(Recipe)]
  return dataclasses.replace(recipe, **{
      name: getattr(overrides, name) for name in names
      if getattr(overrides, name) is not None})


# Liu et al., arXiv 1806.09055, and its public code.
_DARTS = Recipe(
    epochs=600, batch_size=96, fill_last=True, learning_rate=.025,
    schedule='cosine_per_epoch', weight_decay=3e-4,
    auxiliary_weight=.4, drop_path_keep=.8, drop_path_per_epoch=True,
    cutout_length=16)
# Of the weights while alphas are searched; the script of its public code.
_DARTS_SEARCH = Recipe(
    epochs=50, batch_size=64, fill_last=True, learning_rate=.025,
    final_learning_rate=.001, schedule='cosine_per_epoch', weight_decay=3e-4)
_DARTS_IMAGENET = Recipe(
    epochs=250, fill_last=True, learning_rate=.1, schedule='exponential',
    decay_rate=.97,
    weight_decay=3e-5, label_smoothing=.1, auxiliary_weight=.4, crop_padding=0,
    resized_crop=.08, colour_jitter=.4, hue_jitter=.2)
_PDARTS_IMAGENET = dataclasses.replace(
    _DARTS_IMAGENET, batch_size=1024, learning_rate=.5, warmup_epochs=5,
    schedule='linear_tail')
# Zoph et al., arXiv 1707.07012, and its public code.
_NASNET = Recipe(
    epochs=600, batch_size=32, learning_rate=.025, decay_in_loss=True,
    auxiliary_weight=.4, drop_path_keep=.6)
# 250,000 steps of 50 workers. Note: assumed are the momentum of RMSProp and
# the crops, Inception's.
_NASNET_IMAGENET = Recipe(
    epochs=312, batch_size=1600, optimizer='rmsprop', learning_rate=2.,
    schedule='exponential', decay_rate=.97, decay_epochs=2.4,
    weight_decay=4e-5, decay_in_loss=True, clip_norm=10.,
    label_smoothing=.1, auxiliary_weight=.4, dropout_keep=.5,
    ema_decay=.9999, crop_padding=0, resized_crop=.08)
# Luo et al., arXiv 1808.07233: the two public codes.
_NAO = Recipe(
    epochs=600, decay_in_loss=True, auxiliary_weight=.4, drop_path_keep=.7,
    dropout_keep=.6, cutout_length=16, cutout='corner', standardise='image')
# Pham et al., arXiv 1802.03268, scripts of the public code: their penalty is
# 2e-4 times the sum of squares, without the half; they do not clip.
_ENAS = Recipe(
    epochs=630, batch_size=144, learning_rate=.05, final_learning_rate=1e-4,
    schedule='restarts', nesterov=True, weight_decay=4e-4, decay_in_loss=True,
    clip_norm=None, auxiliary_weight=.4, drop_path_keep=.6, dropout_keep=.8)
# The AutoDL repository of PaddlePaddle. Notes: as trained there, the complexity
# term is off (lrc_weight 0.5 is what its command line asks for); its drop path
# drops single elements, here whole paths.
_LRC = dataclasses.replace(_DARTS, weight_decay=2e-4)
_LRC_MODELS = [  # learning rate, batch size, alpha of mixup
    (.01, 64, .9), (.02, 80, .6), (.015, 80, .5), (.02, 80, .6), (.03, 80, .8),
    (.015, 64, .5)]
# Children of PaddlePaddle's AutoDL Design: 20 epochs of a schedule of 200. As
# published, the pixels of an image are divided by the root of their number.
_AUTODL = Recipe(
    epochs=20, fill_last=True, learning_rate=.1, final_learning_rate=1e-4,
    schedule_epochs=200, nesterov=True, weight_decay=1e-4,
    decayed='no_biases', clip_norm=None, dropout_keep=.5,
    standardise='image_root')
# Dong and Yang, arXiv 2001.00326.
_NASBENCH201 = Recipe(
    epochs=200, batch_size=256, fill_last=True, learning_rate=.1, nesterov=True,
    clip_norm=None)

RECIPES: Mapping[str, Recipe] = {
    'darts': _DARTS,
    'pdarts': dataclasses.replace(_DARTS, batch_size=128, drop_path_keep=.7),
    'pcdarts': dataclasses.replace(_DARTS, drop_path_keep=.7),
    'nasnet': _NASNET,
    # Real et al., arXiv 1802.01548. Note: clipping as NASNet's is assumed.
    'amoebanet': Recipe(
        epochs=600, decay_in_loss=True, auxiliary_weight=.5,
        drop_path_keep=.7),
    'nao': _NAO,
    # Children of its search: a quarter of a cosine.
    'nao_search': dataclasses.replace(
        _NAO, epochs=25, schedule_epochs=100, dropout_keep=1.,
        cutout_length=0),
    'nao_pytorch': dataclasses.replace(
        _NAO, fill_last=True, learning_rate=.025, weight_decay=3e-4,
        decay_in_loss=False,
        drop_path_keep=.8, cutout='centre',
        standardise='channels'),
    # Liu et al., arXiv 1712.00559; the rest is NASNet's.
    'pnas': _NASNET,
    # Children of its search. Note: no second classifier and whole paths are
    # assumed.
    'pnas_search': dataclasses.replace(
        _NASNET, epochs=20, learning_rate=.01, auxiliary_weight=0.,
        drop_path_keep=1.),
    'enas': _ENAS,
    # Shared weights of its micro search, and of NAO-WS. Note: dropped paths
    # are a setting of the codes that their search does not use.
    'enas_micro_search': dataclasses.replace(
        _ENAS, epochs=150, batch_size=160, final_learning_rate=5e-4,
        weight_decay=2e-4, drop_path_keep=1., dropout_keep=.9),
    'enas_macro': dataclasses.replace(
        _ENAS, epochs=310, batch_size=100, final_learning_rate=.001,
        auxiliary_weight=0., drop_path_keep=1., dropout_keep=.5),
    # Shared weights of its macro search.
    'enas_macro_search': dataclasses.replace(
        _ENAS, epochs=310, final_learning_rate=5e-4, batch_size=128,
        weight_decay=5e-4, auxiliary_weight=0., drop_path_keep=1.,
        dropout_keep=.9),
    # Zoph and Le, arXiv 1611.01578: its children. Note: no clipping is assumed.
    'nas_rl': Recipe(
        epochs=50, learning_rate=.1, schedule='constant', nesterov=True,
        weight_decay=1e-4, clip_norm=None),
    # Its result. Note: the length and the steps are assumed.
    'nas_rl_final': Recipe(
        epochs=300, learning_rate=.1, schedule='steps', milestones='0.5,0.75',
        nesterov=True, weight_decay=1e-4, clip_norm=None),
    # Zhong et al., arXiv 1708.05552. Note: as recalled, not as read.
    'blockqnn': Recipe(
        epochs=300, learning_rate=.1, schedule='steps', milestones='0.5,0.75',
        clip_norm=None),
    # Children of the same search. Note: as recalled; that nothing decays is
    # assumed.
    'blockqnn_search': Recipe(
        epochs=12, batch_size=256, optimizer='adam', learning_rate=.001,
        schedule='exponential', decay_rate=.2, decay_epochs=5., rms_decay=.999,
        rms_epsilon=1e-8, weight_decay=0., clip_norm=None, crop_padding=0,
        flip=False),
    'autodl': _AUTODL,
    'autodl_standardised': dataclasses.replace(_AUTODL, standardise='image'),
    **{f'lrc_{i}': dataclasses.replace(
        _LRC, learning_rate=rate, batch_size=size, mixup=alpha)
       for i, (rate, size, alpha) in enumerate(_LRC_MODELS)},
    'lrc': dataclasses.replace(  # The best of the six.
        _LRC, learning_rate=.02, batch_size=80, mixup=.6),
    'nasbench201': _NASBENCH201,
    'nasbench201_12': dataclasses.replace(_NASBENCH201, epochs=12),
    # Bender et al., ICML 2018: the one-shot model, 10,000 steps. Notes: rate
    # and momentum are quoted; the schedule and the penalty are assumed.
    'one_shot': Recipe(
        epochs=225, batch_size=1024, learning_rate=.1, nesterov=True,
        weight_decay=1e-4, decay_in_loss=True, clip_norm=None),
    # Guo et al., arXiv 1904.00420, public code: 300,000 steps; the shared
    # weights take half of them. Note: pixels are neither centred nor scaled
    # there.
    'spos_imagenet': Recipe(
        epochs=240, batch_size=1024, learning_rate=.5, schedule='linear',
        weight_decay=4e-5, decayed='weights', clip_norm=None,
        label_smoothing=.1, crop_padding=0, resized_crop=.08,
        colour_jitter=.4),
    # Ying et al., arXiv 1902.09635.
    'nasbench101': Recipe(
        epochs=108, batch_size=256, optimizer='rmsprop', learning_rate=.2,
        weight_decay=1e-4, decay_in_loss=True, clip_norm=None),
    # Siems et al., arXiv 2008.09777.
    'nasbench301': dataclasses.replace(
        _DARTS, epochs=100, final_learning_rate=1e-8, mixup=.2),
    'nasbench_macro': Recipe(
        epochs=50, batch_size=256, learning_rate=.1, clip_norm=None),
    # DeVries and Taylor, arXiv 1708.04552.
    'cutout': Recipe(
        epochs=200, fill_last=True, learning_rate=.1, schedule='steps',
        decay_rate=.2,
        milestones='0.3,0.6,0.8', nesterov=True, clip_norm=None,
        cutout_length=16),
    'darts_imagenet': _DARTS_IMAGENET,
    'pdarts_imagenet': _PDARTS_IMAGENET,
    'pcdarts_imagenet': _PDARTS_IMAGENET,
    'nasnet_imagenet': _NASNET_IMAGENET,
    'pnas_imagenet': dataclasses.replace(_NASNET_IMAGENET, decay_epochs=2.2),
    # The public code for TPUs.
    'amoebanet_imagenet': dataclasses.replace(
        _NASNET_IMAGENET, epochs=48, batch_size=256, learning_rate=.64,
        decay_rate=.9, decay_epochs=1., warmup_epochs=3, clip_norm=None),
    'nao_imagenet': _DARTS_IMAGENET,
    'darts_search': _DARTS_SEARCH,
    # Chen et al., arXiv 1904.12760, one of three stages.
    'pdarts_search': dataclasses.replace(
        _DARTS_SEARCH, epochs=25, batch_size=96, final_learning_rate=0.),
    # Xu et al., arXiv 1907.05737.
    'pcdarts_search': dataclasses.replace(
        _DARTS_SEARCH, batch_size=256, learning_rate=.1,
        final_learning_rate=0.),
    # Dong and Yang, arXiv 1910.04465.
    'gdas_search': dataclasses.replace(
        _DARTS_SEARCH, epochs=250, nesterov=True, weight_decay=5e-4),
    # Xie et al., arXiv 1812.09926. Note: but for the epochs DARTS' is assumed.
    'snas_search': dataclasses.replace(_DARTS_SEARCH, epochs=150),
    # Chu et al., arXiv 1911.12126.
    'fairdarts_search': dataclasses.replace(
        _DARTS_SEARCH, batch_size=128, learning_rate=.005),
    # Ours: accuracy per minute rather than the last tenth of a percent.
    'fast': Recipe(
        epochs=60, batch_size=128, learning_rate=.1, schedule='linear',
        warmup_epochs=1, nesterov=True, decayed='weights', label_smoothing=.1,
        auxiliary_weight=.4, drop_path_keep=.9, cutout_length=8,
        ema_decay=.999),
}

# The recipe of the paper of a family of networks, by (family, network).
OF_FAMILY: Mapping[tuple[str, str], str] = {
    ('darts', 'cifar'): 'darts', ('darts', 'imagenet'): 'darts_imagenet',
    ('nasnet', 'cifar'): 'nasnet', ('nasnet', 'imagenet'): 'nasnet_imagenet',
    ('amoebanet', 'cifar'): 'amoebanet',
    ('amoebanet', 'imagenet'): 'amoebanet_imagenet',
    ('pnasnet', 'cifar'): 'pnas', ('pnasnet', 'imagenet'): 'pnas_imagenet',
    ('nao', 'cifar'): 'nao', ('nao_pytorch', 'cifar'): 'nao_pytorch',
    ('nao_pytorch', 'imagenet'): 'nao_imagenet',
    ('nao_pytorch_v2', 'cifar'): 'nao_pytorch',
    ('nao_pytorch_v2', 'imagenet'): 'nao_imagenet',
    ('nao_ws', 'cifar'): 'enas', ('enas_micro', 'cifar'): 'enas',
    ('enas_macro', 'cifar'): 'enas_macro',
    ('enas_macro_separable', 'cifar'): 'enas_macro',
    ('nas_rl', 'cifar'): 'nas_rl',
    ('blockqnn', 'cifar'): 'blockqnn',
    ('blockqnn_widening', 'cifar'): 'blockqnn',
    ('autodl', 'cifar'): 'autodl',
    ('resnet', 'cifar'): 'cutout', ('wide_resnet', 'cifar'): 'cutout',
    ('shake_shake', 'cifar'): 'cutout',
    ('nasbench101', 'cifar'): 'nasbench101',
    **{(family, network): 'nasbench201'
       for family in ('nasbench201', 'nats_size')
       for network in ('cifar', 'imagenet16')},
    ('nasbench_macro', 'cifar'): 'nasbench_macro',
    ('spos', 'imagenet'): 'spos_imagenet',
}


def load(name: str) -> Recipe:
  """A recipe by name.

  Raises:
    ValueError: there is none of this name.
  """
  if name not in RECIPES:
    raise ValueError(f'recipe is {name!r}, expected one of '
                     f'{", ".join(RECIPES)}')
  return RECIPES[name]
