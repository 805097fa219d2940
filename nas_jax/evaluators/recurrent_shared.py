"""Scores recurrent cells with weights that they share."""

from collections.abc import Callable
import math
import time

import numpy as np

from nas_jax import base
from nas_jax.training import language


def shared(losses: Callable[[np.ndarray], np.ndarray],
           reward: Callable[[np.ndarray], np.ndarray]) -> base.Evaluator:
  """The perplexity of every child with trained shared weights.

  Args:
    losses: genomes int32[M, L] -> mean cross-entropies float[M], in nats; not
      finite where a child fails.
    reward: cross-entropies float[M] -> rewards, the floor where they are not
      finite.

  Returns:
    An evaluator that runs on the host. Metrics: validation_perplexity, failed,
    score_seconds.
  """
  def evaluate(key, evaluator_state, proposals):
    del key  # The score depends on the weights and the genome alone.
    begin = time.perf_counter()
    found = losses(np.asarray(proposals.genomes))
    seconds = (time.perf_counter() - begin) / len(found)
    each = [metrics(loss) | {'score_seconds': seconds} for loss in found]
    return base.Evaluation(reward(found), {
        name: np.array([one[name] or 0. for one in each], np.float32)
        for name in each[0]}), evaluator_state

  return base.Evaluator(lambda key: (), evaluate, jittable=False)


def metrics(loss: float) -> dict[str, float | None]:
  """What is recorded of a child with this mean cross-entropy."""
  failed = not math.isfinite(loss)
  return {'validation_perplexity': None if failed else language.exp(loss),
          'failed': float(failed)}
