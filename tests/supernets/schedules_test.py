import pytest

from nas_jax.supernets import schedules


@pytest.mark.parametrize('epoch, rate', [
    (0, .384), (9, .24), (10, .4), (15, .1472), (24, .0243)])
def test_skip_dropout_of_p_darts(epoch, rate):
  assert schedules.skip_dropout(epoch, .4) == pytest.approx(rate, abs=5e-5)


@pytest.mark.parametrize('epoch, epsilon', [(0, .03), (25, .165), (49, .2946)])
def test_perturbation_of_smooth_darts(epoch, epsilon):
  assert schedules.perturbation(epoch) == pytest.approx(epsilon)


def test_straight_lines():
  assert schedules.gumbel_temperature(0) == 10
  assert schedules.gumbel_temperature(249) == pytest.approx(.1)
  assert schedules.gumbel_temperature(0, epochs=1) == 10
  assert schedules.concrete_temperature(0) == 1
  assert schedules.concrete_temperature(75) == pytest.approx(.515)
  assert schedules.concrete_temperature(150) == pytest.approx(.03)
  assert schedules.auxiliary_skip(0) == 1
  assert schedules.auxiliary_skip(25) == .5
  assert schedules.auxiliary_skip(60) == 0
  assert schedules.beta_weight(1) == .5  # 50 epoch / 100
  assert schedules.beta_weight(50) == 25
  assert schedules.drop_path(0, .6) == 0
  assert schedules.drop_path(49, .6) == pytest.approx(.6)
