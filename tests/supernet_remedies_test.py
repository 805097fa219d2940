import numpy as np
import pytest

from nas_jax import supernet_remedies
from nas_jax import supernet_plan
from nas_jax import supernet_search
from nas_jax.data import images as image_data
from nas_jax.data import source
from nas_jax.supernets import bilevel
from nas_jax.supernets import darts
from nas_jax.supernets import methods
from nas_jax.training import recipes


def _plan(method, epochs, spec=None, **changes):
  """A search of dark and bright images of 8 x 8 pixels."""
  rng = np.random.default_rng(0)
  labels = np.arange(32, dtype=np.int32) % 2
  split = source.Split(rng.normal(
      np.where(labels, 168, 88)[:, None, None, None], 40,
      (32, 8, 8, 1)).clip(0, 255).astype(np.uint8), labels)
  data = image_data.ImageData(
      'stripes', split, split, split, 2, ('dark', 'bright'),
      np.float32([.5]), np.float32([.25]))
  recipe = recipes.Recipe(
      epochs=epochs, batch_size=16, eval_batch_size=16, learning_rate=.05,
      final_learning_rate=.001, schedule='cosine_per_epoch', crop_padding=0,
      weight_decay=3e-4, flip=False)
  return supernet_plan.Plan(**(dict(
      method=methods.METHODS[method], context=methods.Context(epochs),
      alphas=bilevel.Settings(learning_rate=.01),
      spec=spec or darts.uniform(('skip_connect', 'max_pool_3x3'), nodes=1),
      recipe=recipe, data=data, features=2, num_cells=3, seed=0) | changes))


def test_stages_of_p_darts_are_as_deep_as_published_with_8_cells():
  plan = _plan('p_darts', 25, darts.uniform(skip_dropout=True))
  for scale, depths in ((8, (5, 11, 17)), (3, (3, 4, 6))):
    found = [supernet_remedies.stage_plan(
        plan._replace(num_cells=scale), i, plan.spec) for i in range(3)]
    assert tuple(p.num_cells for p in found) == depths
    assert [p.context.skip_dropout for p in found] == [.1, .4, .7]


def test_stages_need_eight_candidates(tmp_path):
  with pytest.raises(ValueError, match='need the 8 candidates.*has 2'):
    supernet_remedies.run(tmp_path, _plan('p_darts', 1), 'search')


def test_tuning_of_darts_pt_takes_81_epochs():
  plan, per_round = supernet_remedies.tuning_plan(_plan(
      'darts_pt', 50, alphas=bilevel.Settings(warmup_epochs=15)), 17)
  assert (per_round, plan.recipe.epochs) == (5, 81)
  assert plan.recipe.learning_rate == pytest.approx(.005)
  assert plan.recipe.final_learning_rate == .001
  assert plan.alphas.warmup_epochs == 0
  plan, per_round = supernet_remedies.tuning_plan(_plan('darts_pt', 3), 17)
  assert (per_round, plan.recipe.epochs) == (1, 17)


@pytest.mark.slow
def test_selection_by_perturbation_resumes_where_it_was_killed(
    tmp_path, monkeypatch):
  plan = _plan('darts_pt', 2)
  found = supernet_remedies.run(tmp_path / 'whole', plan, 'search')
  # Two searched epochs; two edges of each kind, an epoch apart.
  assert [r['epoch'] for r in found.records] == [0, 1, 0, 1]
  assert [r.get('rounds_left') for r in found.records] == [None, None, 1, 0]
  assert found.records[-1]['census']['normal']['operations'] == 2
  weights = np.asarray(found.records[-1]['weights']['normal'])
  assert sorted(weights.ravel().tolist()) == [0, 0, 1, 1]
  names = plan.spec.normal[0]
  # Edges are as strong as each other, so in order of their sources.
  assert found.genotype.normal == tuple(
      (names[row.argmax()], e) for e, row in enumerate(weights))

  steps, update = [], bilevel.make
  def interrupted(*args, **kwargs):
    made = update(*args, **kwargs)
    def stopping_update(*args):
      steps.append(0)
      if len(steps) == 7:  # The third step of the tuning.
        raise KeyboardInterrupt
      return made.update(*args)
    return made._replace(update=stopping_update)

  monkeypatch.setattr(bilevel, 'make', interrupted)
  with pytest.raises(KeyboardInterrupt):
    supernet_remedies.run(tmp_path / 'killed', plan, 'search')
  monkeypatch.undo()
  again = supernet_remedies.run(tmp_path / 'killed', plan, 'search')
  assert again.genotype == found.genotype
  strip = lambda records: [{k: v for k, v in r.items() if k != 'seconds'}
                           for r in records]
  assert strip(again.records) == strip(found.records)


@pytest.mark.slow
def test_darts_ada_goes_back_and_decays_more(tmp_path, monkeypatch):
  def eigenvalue(self, state, epoch):
    del state
    grows = self._plan.recipe.weight_decay < .02
    return 2.**epoch if grows else 1.

  monkeypatch.setattr(
      supernet_search._Describer, '_eigenvalue', eigenvalue)
  plan = _plan('darts_ada', 28, eigenvalue='full')
  found = supernet_remedies.run(tmp_path, plan, 'search')
  assert found.ended == (
      'all epochs, after going back to epoch 10 with more weight decay, after '
      'going back to epoch 12 with more weight decay')
  assert [r['epoch'] for r in found.records] == list(range(28))
  assert [r['part'] for r in found.records] == [0] * 11 + [1] * 2 + [2] * 15
  # Parts go on from the state of the epoch they go back to.
  first = (tmp_path / 'history.jsonl').read_text().count('\n')
  assert first == 23  # Stopped after epoch 22.
  again = supernet_remedies.run(tmp_path, plan, 'search')
  assert again.genotype == found.genotype and again.records == found.records
