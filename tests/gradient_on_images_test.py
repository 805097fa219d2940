import pytest

from experiments import darts_cnn
from nas_jax import cost
from nas_jax import gradient_on_images
from nas_jax import supernet_plan
from nas_jax import supernet_search
from nas_jax.data import images as image_data
from nas_jax.data import splits
from nas_jax.networks import graph
from nas_jax.supernets import bench201
from nas_jax.supernets import darts
from nas_jax.supernets import methods


@pytest.fixture(scope='module')
def digits():
  return image_data.load('digits', validation_fraction=.5)


def _paper(**options):
  return gradient_on_images.Settings(**darts_cnn.PAPER | options)


def _plan(digits, number=0, **options):
  return gradient_on_images.plan_of(_paper(**options), digits, number)


def test_paper_scale_is_the_published_search(digits):
  settings = _paper()
  assert (settings.num_searches, settings.num_children, settings.epochs,
          settings.final_recipe, settings.validation_fraction) == (
              4, 24, 100, 'darts', .5)
  plan = _plan(digits)
  recipe = plan.recipe
  assert (recipe.epochs, recipe.batch_size, recipe.learning_rate,
          recipe.final_learning_rate, recipe.weight_decay, recipe.clip_norm,
          recipe.cutout_length, recipe.drop_path_keep) == (
              50, 64, .025, .001, 3e-4, 5., 0, 1.)
  assert (plan.alphas.order, plan.alphas.learning_rate, plan.alphas.beta1,
          plan.alphas.weight_decay) == ('first', 3e-4, .5, 1e-3)
  assert _plan(digits, order='second').alphas.order == 'second'
  # On CIFAR-10 it is the network of the paper.
  net = darts.build(plan.spec, image_shape=(32, 32, 3), num_classes=10,
                    features=plan.features, num_cells=plan.num_cells)
  assert graph.num_params(net) == 1930618


def test_searches_differ_in_their_seeds_and_their_place_in_the_grid(digits):
  plans = [_plan(digits, i, method='r_darts_l2', seed=5) for i in range(6)]
  assert [p.seed for p in plans] == [5, 6, 7, 8, 9, 10]
  assert [p.recipe.weight_decay for p in plans] == pytest.approx(
      [3e-4, 9e-4, 27e-4, 81e-4, 243e-4, 3e-4])
  rates = [_plan(digits, i, method='r_darts_dp').context.drop_path
           for i in range(4)]
  assert rates == [0., .2, .4, .6]


def test_a_shorter_search_warms_up_in_the_same_share(digits):
  plan = _plan(digits, method='pc_darts', search_epochs=10)
  assert (plan.alphas.warmup_epochs, plan.recipe.epochs) == (3, 10)
  assert plan.spec.partial == 4
  plan = _plan(digits, method='p_darts')
  assert (plan.alphas.warmup_epochs, plan.context.warmup_epochs) == (10, 10)


def test_spaces_and_methods_combine(digits):
  for space, candidates in (('darts', 7), ('s3', 2), ('s2', 2)):
    plan = _plan(digits, method='fair_darts', space=space)
    assert len(plan.spec.normal[0]) == candidates
    assert 'none' not in plan.spec.normal[0]
  plan = _plan(digits, method='gdas', space='nasbench201')
  assert isinstance(plan.spec, bench201.Spec) and plan.spec.sampled
  assert _plan(digits, method='snas').context.costs['normal'].shape == (
      6, 3, 14, 8)
  assert _plan(digits, method='darts_es').eigenvalue == 'full'
  assert _plan(digits).eigenvalue == 'off'


def test_validation_batches_are_drawn_anew(digits):
  plan = _plan(digits, search_batch_size=100)
  parts = digits.train, digits.validation
  pairs = supernet_search.pairs(plan, *parts, 0)
  labels = [next(pairs)[0][1] for _ in range(9)]
  per_epoch = -(-len(digits.train.labels) // 100)
  assert per_epoch == 8 and not (labels[0] == labels[8]).all()
  # From the middle on they are the same; validation is drawn per step.
  later = next(supernet_search.pairs(plan, *parts, 3))
  assert (later[0][1] == labels[3]).all()
  order = splits.random_order((plan.seed, 3, 1), len(digits.validation.labels))
  assert (later[1][1] == digits.validation.labels[order[:100]]).all()


@pytest.mark.parametrize('options, text', [
    ({'method': 'darst'}, "method is 'darst', expected one of darts"),
    ({'space': 's9'}, "space is 's9'"),
    ({'order': 'third'}, "order is 'third'"),
    ({'method': 'snas', 'order': 'second'}, 'has none to choose'),
    ({'method': 'p_darts', 'space': 's2'}, 'needs the 8 candidates'),
    ({'search_epochs': 0}, 'search_epochs is 0, expected at least 1')])
def test_settings_that_do_not_fit_are_named(options, text):
  with pytest.raises(ValueError, match=text):
    _paper(**options)


def test_a_batch_must_fit_both_halves():
  with pytest.raises(ValueError, match='search_batch_size is 900'):
    gradient_on_images.make(gradient_on_images.Settings(
        **darts_cnn.SMOKE | dict(search_batch_size=900)))


def test_memory_is_told_before_and_explained_after(digits, monkeypatch):
  plan = _plan(digits, search_features=2, search_num_cells=2, space='s2')
  text = supernet_plan.memory_of(plan)
  assert text.startswith(
      'search network of 2 cells: a step with 64 images needs about 0.0')
  assert text.endswith('GiB of memory')
  assert 'a step with 32 images' in supernet_plan.memory_of(
      plan._replace(num_devices=2))
  monkeypatch.setattr(
      supernet_plan.cost, 'estimate_memory',
      lambda net, size: cost.Memory(0, 0, 2**50, 0, 0))
  advice = ('Choose --remat, a --search_batch_size below 64, fewer '
            '--search_features, or more --num_devices')
  assert supernet_plan.memory_of(plan).endswith(advice)
  with pytest.raises(ValueError, match=f'out of memory.*{advice}'):
    with supernet_plan.memory_explained(plan):
      raise MemoryError
  with pytest.raises(KeyError):
    with supernet_plan.memory_explained(plan):
      raise KeyError


def test_all_methods_have_a_network_at_the_smallest_scale(digits):
  for name in methods.METHODS:
    plan = gradient_on_images.plan_of(gradient_on_images.Settings(
        **darts_cnn.SMOKE | dict(method=name)), digits, 0)
    assert plan.method is methods.METHODS[name]
    net = supernet_plan.graph_of(plan)
    assert len(net.gates) == 28


def test_a_width_that_does_not_split_is_found_before_the_search():
  with pytest.raises(ValueError, match='features is 6, expected an even'):
    gradient_on_images.make(gradient_on_images.Settings(
        **darts_cnn.SMOKE | dict(method='pc_darts', search_features=6)))
