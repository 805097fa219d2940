"""What studies of ranks share."""

import jax
import numpy as np
import pytest

from nas_jax.spaces import discrete
from scripts import studies


def test_genomes_are_different_until_there_are_no_more():
  space = discrete.space(((0, 1),) * 3)
  found = studies.different(jax.random.key(0), space, 8)
  assert sorted(found @ [4, 2, 1]) == list(range(8))
  assert len(studies.different(jax.random.key(0), space, 9)) == 8
  of_two_sums = studies.different(
      jax.random.key(0), space, 4, lambda genome: int(genome.sum()))
  assert sorted(of_two_sums.sum(-1)) == [0, 1, 2, 3]


def test_metrics_become_rows():
  assert studies.by_child({'a': np.array([1, 2]), 'b': [.5, 0.]}) == [
      {'a': 1., 'b': .5}, {'a': 2., 'b': 0.}]


def test_three_must_have_been_trained():
  rows = [{'failed': i == 1, 'i': i} for i in range(4)]
  assert [row['i'] for row in studies.trained(rows, 'blocks')] == [0, 2, 3]
  with pytest.raises(ValueError, match='only 2 of 3 blocks could be trained'):
    studies.trained(rows[:3], 'blocks')


def test_resamples_begin_with_all():
  draws = studies.resamples(5, 40, 0)
  assert draws.shape == (41, 5)
  assert draws[0].tolist() == [0, 1, 2, 3, 4]
  assert set(draws[1:].flat) == {0, 1, 2, 3, 4}


def test_an_interval_leaves_out_what_has_no_ranks():
  values = [.5, *np.linspace(0, 1, 41), np.nan]
  assert studies.interval(values) == [.5, .025, .975]
  assert studies.interval_text([.5, .025, -.975]) == (
      '+0.500 (+0.025 to -0.975)')
  assert studies.interval([np.nan, .5]) == [None] * 3
  assert studies.interval_text([None] * 3) == 'all equal'


def test_a_page_escapes_its_texts():
  page = studies.page(
      {'verdict': 'a < b', 'command': 'run --x="1"'}, 'T & U', 'facts',
      [['name', 'n'], ['c', '1']], ['<svg></svg>'] * 2)
  assert page.count('<svg>') == 2
  for part in ('<h1>T &amp; U</h1>', '<p class="verdict">a &lt; b</p>',
               '<p>facts</p>', '<td class=n>1</td>',
               '<pre>run --x=&quot;1&quot;</pre>'):
    assert part in page
