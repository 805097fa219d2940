"""What the tests of all controllers ask."""

import itertools

import jax
from jax.extend import core
import jax.numpy as jnp
import numpy as np


def scaled(controller, scale=4.):
  """Parameters with unequal probabilities."""
  params = controller.init(jax.random.key(0))
  return jax.tree.map(
      lambda p, k: scale * p + .5 * jax.random.normal(k, p.shape), params,
      _keys(params))


def samples(controller, params, count, *condition):
  return jax.jit(jax.vmap(
      lambda key: controller.sample(params, key, *condition)))(
          jax.random.split(jax.random.key(1), count))


def scores(controller, params, genomes):
  return jax.jit(jax.vmap(controller.score, (None, 0)))(
      params, jnp.asarray(genomes, jnp.int32))


def check_sample_equals_score(controller, *condition):
  params = scaled(controller)
  genomes, of_sample = samples(controller, params, 64, *condition)
  of_score = scores(controller, params, genomes)
  assert genomes.dtype == jnp.int32
  np.testing.assert_allclose(
      of_sample.log_probs, of_score.log_probs, rtol=0, atol=1e-6)
  np.testing.assert_allclose(
      of_sample.entropies, of_score.entropies, rtol=0, atol=1e-6)


def check_distribution(controller, sizes, *condition, count=40_000):
  """Probabilities of all genomes sum to 1, and samples come as often.

  Args:
    controller: to be checked.
    sizes: for each position the values it can have; given ones are one value.
    *condition: what sample gets.
  """
  every = np.array(list(itertools.product(*sizes)))
  params = scaled(controller, 1.)
  log_probs = np.asarray(
      scores(controller, params, every).log_probs, np.float64)
  probabilities = np.exp(log_probs.sum(1))
  np.testing.assert_allclose(probabilities.sum(), 1, atol=2e-6)

  genomes, _ = samples(controller, params, count, *condition)
  index = {tuple(genome): i for i, genome in enumerate(every.tolist())}
  counts = np.zeros(len(every))
  for genome in np.asarray(genomes).tolist():
    counts[index[tuple(genome)]] += 1  # an impossible genome is a KeyError
  assert _deviation(counts, probabilities) < 5
  # The same would not pass for a distribution that ignores the parameters.
  assert _deviation(counts, np.full(len(every), 1 / len(every))) > 20


def num_equations(function, *arguments) -> int:
  """Of a jaxpr and all that it contains."""
  def count(jaxpr):
    return sum(1 + sum(count(inner) for inner in core.jaxprs_in_params(
        equation.params)) for equation in jaxpr.eqns)

  return count(jax.make_jaxpr(function)(*arguments).jaxpr)


def program_sizes(controller, length, *condition):
  """Equations of sampling, and of scoring with its gradient."""
  params = controller.init(jax.random.key(0))
  genome = jnp.zeros(length, jnp.int32)
  grad = jax.grad(lambda p, g: jnp.sum(controller.score(p, g).log_probs))
  return (num_equations(controller.sample, params, jax.random.key(0),
                        *condition), num_equations(grad, params, genome))


def _deviation(counts, probabilities):
  """Pearson's statistic in standard deviations above its mean.

  Its variance is 2 (K - 1) + (sum 1/p - K^2 - 2 K + 2) / n.
  """
  n, k = counts.sum(), len(counts)
  expected = n * probabilities
  statistic = np.sum((counts - expected) ** 2 / expected)
  variance = 2 * (k - 1) + (
      np.sum(1 / probabilities) - k * k - 2 * k + 2) / n
  return (statistic - (k - 1)) / np.sqrt(variance)


def _keys(tree):
  leaves, treedef = jax.tree.flatten(tree)
  return treedef.unflatten(list(
      jax.random.split(jax.random.key(7), len(leaves))))
