"""Further numbers about children, beside those that an evaluator finds."""

from collections.abc import Callable, Mapping

import numpy as np

from nas_jax import base


def measured(
    evaluator: base.Evaluator,
    genotype: Callable[[base.Genome], base.Genotype],
    measures: Mapping[str, Callable[[base.Genotype], float]],
) -> base.Evaluator:
  """The same evaluator with more metrics.

  An architecture is measured once; one that failed is 0 everywhere.

  Args:
    evaluator: what finds the rewards.
    genotype: `space.genotype`.
    measures: name of the metric -> function of a genotype.

  Returns:
    An evaluator that runs on the host.
  """
  known: dict[base.Genotype, dict[str, float]] = {}

  def measure(genome, failed: bool) -> dict[str, float]:
    if failed:
      return dict.fromkeys(measures, 0.)
    found = genotype(genome)
    if found not in known:
      known[found] = {name: fn(found) for name, fn in measures.items()}
    return known[found]

  def evaluate(key, state, proposals):
    evaluation, state = evaluator.evaluate(key, state, proposals)
    failed = np.asarray(evaluation.metrics['failed'])
    rows = [measure(*child) for child in zip(
        np.asarray(proposals.genomes), failed > 0)]
    more = {name: np.array([row[name] for row in rows], np.float32)
            for name in measures}
    return evaluation._replace(metrics=evaluation.metrics | more), state

  return base.Evaluator(evaluator.init, evaluate, jittable=False)
