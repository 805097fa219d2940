import jax
import jax.numpy as jnp

from nas_jax import base


def test_bundles_have_the_fields_of_the_design():
  assert base.Space._fields == (
      'choices', 'sample', 'mutate', 'decode', 'genotype', 'encode')
  assert base.Proposals._fields == ('genomes', 'aux')
  assert base.Strategy._fields == ('init', 'ask', 'tell', 'jittable')
  assert base.Evaluation._fields == ('rewards', 'metrics')
  assert base.Evaluator._fields == ('init', 'evaluate', 'jittable')
  assert base.Controller._fields == ('init', 'sample', 'score')
  assert base.GradientSearch._fields == (
      'init', 'update', 'derive', 'jittable')


def test_defaults():
  assert base.Strategy(None, None, None).jittable
  assert base.Evaluator(None, None).jittable
  assert base.Proposals(jnp.zeros((1, 2), jnp.int32)).aux == ()


def test_proposals_are_pytrees():
  proposals = base.Proposals(
      jnp.zeros((3, 2), jnp.int32), {'slot': jnp.ones(3)})
  first = jax.tree.map(lambda x: x[0], proposals)
  assert first.genomes.shape == (2,) and first.aux['slot'].shape == ()
