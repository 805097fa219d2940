import dataclasses

import pytest

from nas_jax.training import recipes
from nas_jax.training import schedules


def _rates(name, at, **changes):
  recipe = dataclasses.replace(recipes.load(name), **changes)
  return [schedules.learning_rate(recipe, e, 0.) for e in at]


@pytest.mark.parametrize('schedule', ['cosine', 'cosine_per_epoch'])
def test_the_cosine_of_the_darts_recipe(schedule):
  recipe = recipes.Recipe(epochs=600, learning_rate=.025, schedule=schedule)
  for epoch, expected in [(0, .025), (100, .023325), (200, .01875),
                          (300, .0125), (400, .00625), (500, .001675)]:
    rate = schedules.learning_rate(recipe, epoch, 0.)
    assert rate == pytest.approx(expected, abs=5e-7)
  assert schedules.learning_rate(recipe, 599, 0.) == pytest.approx(
      1.7e-7, rel=.01)


def test_a_cosine_may_end_above_zero():
  recipe = recipes.Recipe(
      epochs=50, learning_rate=.025, final_learning_rate=.001)
  rates = [schedules.learning_rate(recipe, e, 0.) for e in (25, 49, 50)]
  assert rates == pytest.approx([.013, .0010237, .001], rel=1e-4)


def test_the_rate_changes_within_an_epoch_or_not():
  rates = {s: [schedules.learning_rate(recipes.Recipe(
      epochs=9, learning_rate=.1, schedule=s), 0, f) for f in (0., .5)]
           for s in recipes.SCHEDULES}
  # .05 * (1 + cos(pi / 18)), .1 * 17 / 18
  assert rates.pop('cosine') == pytest.approx([.1, .0992404], rel=1e-5)
  assert rates.pop('linear') == pytest.approx([.1, .0944444], rel=1e-5)
  assert all(value == [.1, .1] for value in rates.values())


def test_enas_restarts_where_its_cycles_end():
  starts = [0, 10, 30, 70, 150, 310]
  assert _rates('enas', starts) == [.05] * 6
  # The last epoch of a cycle of T: (1 + cos(pi (T - 1) / T)) / 2 is left.
  last = _rates('enas', [9, 29, 629], final_learning_rate=.0005)
  assert last == pytest.approx([.0017115, .0008047, .0005012], rel=1e-4)
  assert schedules.cosine(.05, .0005, 1.) == .0005
  assert _rates('enas', [5, 20]) == pytest.approx([.02505] * 2)


def test_the_exponential_decay_of_imagenet():
  assert _rates('darts_imagenet', [0, 1, 249]) == pytest.approx(
      [.1, .097, .1 * .97**249])
  assert _rates('darts_imagenet', [249])[0] == pytest.approx(5.1e-5, rel=.01)
  # Every 2.4 epochs, in steps.
  nasnet = recipes.load('nasnet_imagenet')
  found = [schedules.learning_rate(nasnet, e, f) / 2
           for e, f in [(0, 0), (2, .39), (2, .41), (4, .79), (4, .81)]]
  assert found == pytest.approx([1, 1, .97, .97, .97**2])


def test_the_line_of_pdarts_and_its_tail():
  for name in ('pdarts_imagenet', 'pcdarts_imagenet'):
    assert _rates(name, [0, 4, 5, 244, 245, 249]) == pytest.approx(
        [.1, .5, .48980, .0020408, .0020408, .00040816], rel=1e-4)


def test_steps_at_shares_of_the_epochs():
  assert _rates('blockqnn', [0, 149, 150, 224, 225]) == pytest.approx(
      [.1, .1, .01, .01, .001])
  assert _rates('cutout', [59, 60, 120, 160]) == pytest.approx(
      [.1, .02, .004, .0008])
  assert _rates('blockqnn', [1, 2, 3], epochs=4) == pytest.approx(
      [.1, .01, .001])


def test_a_schedule_longer_than_the_training():
  """AutoDL Design trains 20 of 200 epochs."""
  autodl = recipes.load('autodl')
  assert schedules.learning_rate(autodl, 19, 1.) == pytest.approx(
      .0975552, rel=1e-5)
  # As released: 160 of 1406 steps, 7040 of 70312.
  assert schedules.cosine(.1, 1e-4, 160 / 1406) == pytest.approx(
      .09684, abs=5e-6)
  assert schedules.cosine(.1, 1e-4, 7040 / 70312) == pytest.approx(
      .09755, abs=6e-6)


def test_a_linear_rise():
  recipe = recipes.Recipe(epochs=10, learning_rate=.2, schedule='linear',
                          warmup_epochs=2)
  found = [schedules.learning_rate(recipe, e, f)
           for e, f in [(0, 0.), (0, .5), (1, 0.), (1, .5), (2, 0.), (9, .5)]]
  assert found == pytest.approx([0, .05, .1, .15, .16, .01])


def test_the_progress_of_dropped_paths():
  darts, nasnet = recipes.load('darts'), recipes.load('nasnet')
  progress = schedules.drop_path_progress
  # The probability of DARTS in epoch e is .2 e / 600, all epoch long.
  assert [(1 - darts.drop_path_keep) * progress(darts, 300, f)
          for f in (0., .9)] == pytest.approx([.1, .1])
  assert progress(darts, 599, 0.) == 599 / 600
  assert progress(nasnet, 300, .5) == 300.5 / 600


def test_averages_start_short():
  recipe = recipes.Recipe(epochs=1, ema_decay=.999)
  assert [schedules.average_decay(recipe, s) for s in (0, 10, 10**5)] == [
      .1, .55, .999]
  assert schedules.average_decay(recipes.Recipe(epochs=1), 5) == 0


@pytest.mark.parametrize('images, size, steps', [
    (50000, 96, 521), (25000, 64, 391), (50000, 256, 196), (50000, 128, 391),
    (900, 128, 8), (96, 96, 1)])
def test_steps_of_an_epoch(images, size, steps):
  """What the papers count has an incomplete last batch."""
  filled = recipes.Recipe(epochs=1, batch_size=size, fill_last=True)
  assert schedules.steps_per_epoch(filled, images) == steps
  whole = recipes.Recipe(epochs=1, batch_size=size)
  assert schedules.steps_per_epoch(whole, images) == images // size
