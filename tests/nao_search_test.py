"""What searches of NAO share: the model's settings, and the control."""

import dataclasses

import pytest

from nas_jax import nao_search
from nas_jax import nao_ws


@dataclasses.dataclass(frozen=True)
class _Pool(nao_search.PoolSettings):
  num_children: int = 9
  num_kept: int = 4
  num_seeds: int = 3
  num_new: int = 2
  num_random: int = 1
  update_every: int = 5
  predictor_epochs: int = 7
  trade_off: float = .5


@dataclasses.dataclass(frozen=True)
class _Alone(nao_search.Settings):
  num_children: int = 9
  num_initial: int = 4


def test_the_control_is_the_same_search_unguided(tmp_path):
  asked = []

  def search(*, settings, on_epoch, **options):
    asked.append(options)
    assert (settings.epochs, settings.trade_off, settings.num_new,
            settings.num_random, settings.layers) == (7, .5, 2, 1, (200,) * 4)
    line = {'epoch': 0, 'loss': 1., 'seconds': 2. + len(asked), 'num_new': 2}
    on_epoch(line)
    return nao_ws.Outcome(None, [{'child': len(asked)}], [line])

  found = nao_search.search_pools(
      tmp_path / 'run', _Pool(), 'nao_ws_rnn', search, num_epochs=1,
      shown=('loss',))
  common = dict(num_initial=9, num_kept=4, num_seeds=3, update_every=5)
  other = tmp_path / 'run' / 'random_search'
  assert asked == [common | dict(guided=True, workdir=tmp_path / 'run'),
                   common | dict(guided=False, workdir=other)]
  assert found == {
      'runs': {'result': (tmp_path / 'run', 'nao_ws', [{'child': 1}]),
               'random_search': (other, 'random search', [{'child': 2}])},
      'cost': {'search_seconds': 3., 'random_search_seconds': 4.},
      'more': {'num_renewals': 1, 'num_found_by_gradient': 2, 'num_random': 1,
               'pairwise_accuracy': None}}


@pytest.mark.parametrize('settings, check, message', [
    (_Alone(num_initial=9), nao_search.check,
     'num_children 9 are all random: choose more than num_initial 9'),
    (_Alone(num_seeds=0), nao_search.check,
     'num_seeds is 0, expected at least 1'),
    (_Pool(num_kept=9), nao_search.check_pool,
     'num_kept 9 is the whole pool: choose less than num_children 9'),
    (_Pool(num_random=-1), nao_search.check_pool,
     'num_random is -1, expected at least 0'),
    (_Pool(decay='none'), nao_search.check_pool,
     "decay is 'none', expected one of used, all")])
def test_settings_that_do_not_fit_are_refused(settings, check, message):
  with pytest.raises(ValueError) as e:
    check(settings)
  assert str(e.value) == message


def test_the_defaults_are_the_published_ones_on_images():
  assert dataclasses.asdict(nao_search.Settings()) == dict(
      num_nodes=5, num_seeds=100, num_new=300, predictor_epochs=1000,
      trade_off=.8, num_initial=600)
  assert dataclasses.asdict(nao_search.PoolSettings()) == dict(
      num_nodes=5, num_seeds=100, num_new=500, predictor_epochs=1000,
      trade_off=.8, num_kept=450, num_random=50, update_every=30, decay='all')
