"""Gradient searches by name: what each does otherwise than DARTS.

What a method changes about weights of candidates, alphas, network, training
of the weights, derivation and stopping is a row of `METHODS`.

Note: R-DARTS (DP) is without the cutout whose probability rises with the rate
of dropped paths. SNAS' weights are trained by DARTS' recipe.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

import jax

from nas_jax import base
from nas_jax.supernets import bilevel
from nas_jax.supernets import derive
from nas_jax.supernets import penalties
from nas_jax.supernets import relax
from nas_jax.supernets import schedules

Alphas = bilevel.Alphas


@dataclasses.dataclass(frozen=True)
class Method:
  """A method; the defaults are those of DARTS.

  Attributes:
    title: name and reference.
    recipe: of the weights, see `recipes.RECIPES`.
    alphas: how they are updated.
    relaxation: (epochs, context) -> Relaxation.
    derive: (alphas, candidates, context) -> genotype, of cells of DARTS.
    spec: fields of the specification of the network that differ.
    without: operations that are no candidates.
    edges: whether there are alphas of whole edges too.
    samples: whether one candidate of an edge is computed at a time.
    all_images: whether weights are trained on the validation images too.
    stop: when the search ends early: with two 'skips', a stable 'ranking', or
      a growing 'eigenvalue'; 'adapt' then goes on with more weight decay.
    grid: changes of the recipe and of the context, of which each search takes
      the next.
    stages: whether the search network grows in three stages (P-DARTS).
    perturbs: whether the cells are chosen by what hurts the network (PT).
  """
  title: str
  recipe: str = 'darts_search'
  alphas: bilevel.Settings = bilevel.Settings()
  relaxation: Callable[..., bilevel.Relaxation] = None
  derive: Callable[..., base.Genotype] = (
      lambda alphas, candidates, context: derive.darts(alphas, candidates))
  spec: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  without: tuple[str, ...] = ()
  edges: bool = False
  samples: bool = False
  all_images: bool = False
  stop: str | None = None
  grid: tuple[Mapping[str, float], ...] = ({},)
  stages: bool = False
  perturbs: bool = False


@dataclasses.dataclass(frozen=True)
class Context:
  """What the numbers of a method depend on, beside the epoch."""
  epochs: int
  warmup_epochs: int = 0
  threshold: float = .85  # of FairDARTS
  strict: bool = False  # it derives nothing where none reaches the threshold
  drop_path: float = 0.  # rate of R-DARTS at the end
  skip_dropout: float = 0.  # initial rate of a stage of P-DARTS
  max_skips: int = 2  # of P-DARTS' normal cell
  # kind -> float32[cells, 3, E, K], see `penalties.costs_of`; of SNAS
  costs: Mapping[str, Any] | None = None


def softmax(context: Context) -> bilevel.Relaxation:
  """DARTS; with alphas of edges, PC-DARTS; with a knob, R-DARTS (DP)."""
  return bilevel.Relaxation(
      lambda key, alphas, values: relax.softmax(alphas),
      lambda epoch: {'drop_path': schedules.drop_path(
          epoch, context.drop_path, epochs=context.epochs)})


def sigmoid(context: Context) -> bilevel.Relaxation:
  """FairDARTS, with its loss that wants zero or one."""
  del context
  return bilevel.Relaxation(
      lambda key, alphas, values: relax.sigmoid(alphas),
      penalty=lambda alphas, weights, values: 10 * penalties.zero_one(alphas))


def gumbel(context: Context) -> bilevel.Relaxation:
  """GDAS."""
  return bilevel.Relaxation(
      lambda key, alphas, values: relax.gumbel(
          key, alphas, temperature=values['temperature']),
      lambda epoch: {'temperature': schedules.gumbel_temperature(
          epoch, epochs=context.epochs)})


def concrete(context: Context) -> bilevel.Relaxation:
  """SNAS, with what the operations cost."""
  def penalty(alphas, weights, values):
    del alphas, values
    return 1.5e-3 * penalties.resource(weights, context.costs)

  return bilevel.Relaxation(
      lambda key, alphas, values: relax.concrete(
          key, alphas, temperature=values['temperature']),
      lambda epoch: {'temperature': schedules.concrete_temperature(
          epoch, epochs=context.epochs)},
      penalty if context.costs else None)


def perturbed(context: Context) -> bilevel.Relaxation:
  """SDARTS-RS."""
  return softmax(context)._replace(
      values=functools.partial(_radius, context),
      perturb=lambda key, weights, values: relax.perturb(
          key, weights, epsilon=values['epsilon']))


def attacked(context: Context) -> bilevel.Relaxation:
  """SDARTS-ADV."""
  def attack(key, weights, values, loss, gradient):
    return relax.attack(key, weights, loss, gradient,
                        epsilon=values['epsilon'])

  return softmax(context)._replace(
      values=functools.partial(_radius, context), attack=attack)


def helped(context: Context) -> bilevel.Relaxation:
  """DARTS-: a skip beside each edge, which fades."""
  return softmax(context)._replace(values=lambda epoch: {
      'auxiliary_skip': schedules.auxiliary_skip(
          epoch, epochs=context.epochs)})


def levelled(context: Context) -> bilevel.Relaxation:
  """beta-DARTS."""
  return softmax(context)._replace(
      values=lambda epoch: {'beta': schedules.beta_weight(
          epoch, epochs=context.epochs)},
      penalty=lambda alphas, weights, values: (
          values['beta'] * penalties.beta(alphas)))


def dropped(context: Context) -> bilevel.Relaxation:
  """A stage of P-DARTS."""
  return softmax(context)._replace(values=lambda epoch: {
      'skip_dropout': schedules.skip_dropout(
          epoch, context.skip_dropout, epochs=context.epochs,
          warmup_epochs=context.warmup_epochs)})


def shapes(gates: Mapping[str, tuple[int, ...]], edges: bool
           ) -> dict[str, tuple[int, ...]]:
  """Those of the alphas, from those of the gates of a network."""
  return {name: shape for name, shape in gates.items() if name != 'knobs' and (
      edges or relax.is_kind(name))}


def shown(method: Method, alphas: Alphas) -> Alphas:
  """Weights without noise, for a picture: what derivation looks at."""
  if method.relaxation is sigmoid:
    return relax.sigmoid(alphas)
  return jax.jit(relax.softmax)(alphas)


def _radius(context, epoch):
  return {'epsilon': schedules.perturbation(epoch, epochs=context.epochs)}


def _fair(alphas, candidates, context):
  return derive.fair_darts(alphas, candidates, threshold=context.threshold,
                           strict=context.strict)


_P_DARTS = bilevel.Settings(
    learning_rate=6e-4, clip_norm=5., warmup_epochs=10)
_DECAYS = tuple({'weight_decay': 3e-4 * 3**i} for i in range(5))
_RATES = tuple({'drop_path': rate} for rate in (0., .2, .4, .6))

METHODS: Mapping[str, Method] = dict(
    darts=Method('DARTS, arXiv 1806.09055', relaxation=softmax),
    darts_plus=Method(
        'DARTS+, arXiv 1909.06035, at most one skip', relaxation=softmax,
        stop='skips'),
    darts_plus_ranking=Method(
        'DARTS+, arXiv 1909.06035, stable ranking', relaxation=softmax,
        stop='ranking'),
    darts_es=Method(
        'DARTS-ES, arXiv 1909.09656', relaxation=softmax, stop='eigenvalue',
        alphas=bilevel.Settings(order='second')),
    darts_ada=Method(
        'DARTS-ADA, arXiv 1909.09656', relaxation=softmax, stop='adapt',
        alphas=bilevel.Settings(order='second')),
    r_darts_l2=Method(
        'R-DARTS (L2), arXiv 1909.09656', relaxation=softmax, grid=_DECAYS,
        alphas=bilevel.Settings(order='second')),
    r_darts_dp=Method(
        'R-DARTS (DP), arXiv 1909.09656', relaxation=softmax, grid=_RATES,
        alphas=bilevel.Settings(order='second'), spec=dict(drop_path=True)),
    p_darts=Method(
        'P-DARTS, arXiv 1904.12760', 'pdarts_search', _P_DARTS, dropped,
        lambda alphas, candidates, context: derive.p_darts(
            alphas, candidates, max_skips=context.max_skips),
        spec=dict(skip_dropout=True), stages=True),
    pc_darts=Method(
        'PC-DARTS, arXiv 1907.05737', 'pcdarts_search',
        bilevel.Settings(learning_rate=6e-4, warmup_epochs=15), softmax,
        spec=dict(partial=4), edges=True),
    sdarts_rs=Method('SDARTS-RS, arXiv 2002.05283', relaxation=perturbed),
    sdarts_adv=Method('SDARTS-ADV, arXiv 2002.05283', relaxation=attacked),
    gdas=Method(
        'GDAS, arXiv 1910.04465', 'gdas_search', relaxation=gumbel,
        derive=lambda alphas, candidates, context: derive.gdas(
            alphas, candidates), spec=dict(sampled=True), samples=True),
    snas=Method(
        'SNAS, arXiv 1812.09926', 'snas_search',
        bilevel.Settings(
            order='joint', clip_norm=10., init_mean=1., init_scale=.01),
        concrete, lambda alphas, candidates, context: derive.snas(
            alphas, candidates), all_images=True),
    fair_darts=Method(
        'FairDARTS, arXiv 1911.12126', 'fairdarts_search',
        bilevel.Settings(learning_rate=3e-3, beta1=.9, init_scale=0.),
        sigmoid, _fair, without=('none',)),
    darts_minus=Method(
        'DARTS-, arXiv 2009.01027', relaxation=helped,
        spec=dict(auxiliary_skip=True)),
    beta_darts=Method('beta-DARTS, arXiv 2203.01665', relaxation=levelled),
    darts_pt=Method(
        'DARTS-PT, Wang et al., ICLR 2021', relaxation=softmax, perturbs=True),
    blank_pt=Method(
        'DARTS-PT with uniform alphas, Wang et al., ICLR 2021',
        relaxation=softmax, perturbs=True,
        alphas=bilevel.Settings(order='none', init_scale=0.)),
    sdarts_rs_pt=Method(
        'SDARTS-RS with PT, Wang et al., ICLR 2021', relaxation=perturbed,
        perturbs=True),
)
