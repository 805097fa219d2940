"""The types everyone knows: small bundles of pure functions.

A search space, a search strategy and an evaluator are three such bundles; a
published system is one choice of each. Factories return the bundles, closed
over their hyper-parameters; states are NamedTuples of arrays. All arguments
come in the order key, state, data.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

Key = jax.Array  # a PRNG key, typed or uint32[2]
PyTree = Any
State = Any  # a NamedTuple of arrays with fixed shapes and dtypes
Batch = Any
Genome = jax.Array  # int32[L]
Genotype = Any  # hashable nested tuples with the names of operations
Rewards = jax.Array  # float32[B]


class Space(NamedTuple):
  """What an architecture may be."""
  choices: tuple[tuple[Any, ...], ...]  # position t is choices[t][genome[t]]
  sample: Callable[[Key], Genome]  # uniform over the space
  mutate: Callable[[Key, Genome], Genome]  # one legal edit
  decode: Callable[[Genome], PyTree]  # jittable, total: genome -> int arrays
  genotype: Callable[[Genome], Genotype]  # host: a readable, hashable name
  encode: Callable[[Genotype], Genome]  # encode(genotype(g)) == g


class Proposals(NamedTuple):
  """The children of one round."""
  genomes: Genome  # int32[B, L]
  aux: PyTree = ()  # what tell must remember: log-probabilities, slots, ...


class Strategy(NamedTuple):
  """Which architectures to try next."""
  init: Callable[[Key], State]
  ask: Callable[[Key, State], Proposals]  # read-only: asking twice is safe
  tell: Callable[[Key, State, Proposals, Rewards], State]
  jittable: bool = True  # False: ask and tell run on the host


class Evaluation(NamedTuple):
  """What became of the children of one round."""
  rewards: Rewards  # float32[B], finite, higher is better
  metrics: dict[str, jax.Array]  # float32[B]; logged, never learned from


class Evaluator(NamedTuple):
  """How good an architecture is.

  Failure is decided here: a child that diverges, does not fit or cannot be
  built gets the evaluator's floor as its reward and 1 in `metrics['failed']`.
  """
  init: Callable[[Key], State]
  evaluate: Callable[[Key, State, Proposals], tuple[Evaluation, State]]
  jittable: bool = True  # False: evaluate runs on the host


class Score(NamedTuple):
  """How likely a policy is to choose a genome, choice by choice.

  Both are 0 where a genome has no choice: at what was given to the policy,
  and beyond the depth of the network.
  """
  log_probs: jax.Array  # float32[L], of each choice given those before it
  entropies: jax.Array  # float32[L], nats, of what each was drawn from


class Controller(NamedTuple):
  """A policy over genomes; its parameters are a tree of arrays."""
  init: Callable[[Key], PyTree]
  # (params, key, *condition) -> genome, Score; the condition, such as the
  # depth of the network, is empty for most controllers.
  sample: Callable[..., tuple[Genome, Score]]
  score: Callable[[PyTree, Genome], Score]  # of any genome, differentiable


class GradientSearch(NamedTuple):
  """Architectures as parameters, searched by gradient."""
  init: Callable[[Key], State]
  # (key, state, training batch, validation batch) -> state, metrics
  # and leaves the state it was given as it is.
  update: Callable[[Key, State, Batch, Batch], tuple[State, dict]]
  derive: Callable[[State], Genome | Genotype]
  jittable: bool = True  # False: update runs on the host
