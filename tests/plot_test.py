"""Pictures are well formed, deterministic, and nothing lies on a label."""

from xml.etree import ElementTree

import numpy as np
import pytest

from nas_jax import plot

SVG = '{http://www.w3.org/2000/svg}'


def child(reward, failed=0.0):
  return {'reward': reward, 'metrics': {'failed': failed}}


def path_of(root, style):
  return next(p.get('d') for p in root.iter(f'{SVG}path')
              if p.get('class') == style and 'H' not in p.get('d'))


def test_search_curve():
  rewards = [0.90, 0.95, 0.93, 0.97]
  history = [*map(child, rewards), child(0.0, failed=1.0), child(0.94)]
  others = [child(r) for r in (0.91, 0.92, 0.0, 0.96, 0.93, 0.94)]
  text = plot.search_curve(history, others, 'a & b')
  assert text == plot.search_curve(history, others, 'a & b')
  root = ElementTree.fromstring(text)
  texts = [t.text for t in root.iter(f'{SVG}text')]
  assert 'a & b, best so far' in texts and 'failed (1)' in texts
  assert '0.9700' in texts and '0.9600' in texts  # Both ends, in numbers.
  assert root.find(f'{SVG}title').text == 'Best reward of 6 children: 0.97'
  paths = {p.get('class'): p.get('d') for p in root.findall(f'{SVG}path')[:-6]}
  assert paths['adots'].count('M') == 5 and paths['fail'].count('M') == 1
  assert paths['band'].endswith('z')
  steps = [p.split(',') for p in paths['a'][1:].split('L')]
  heights = [float(y) for _, y in steps]
  assert heights == sorted(heights, reverse=True)  # It only gets better.
  assert len(set(heights)) == 3  # 0.90, 0.95, 0.97


@pytest.mark.parametrize('rewards, others', [
    ([0.5], []), ([0.0, 0.0], [0.0]), ([-3.0, -1e-9], [-5.0] * 3),
    ([1e6, 2e6, 1.5e6], []), (list(range(30)), [1e-4] * 20)])
def test_search_curve_of_odd_rewards(rewards, others):
  history = [child(r) for r in rewards]
  text = plot.search_curve(history, [child(r) for r in others])
  assert ElementTree.fromstring(text) is not None and 'nan' not in text
  failed = [child(r, 1.0) for r in rewards]
  assert ElementTree.fromstring(plot.search_curve(failed)) is not None


def test_long_searches_stay_small():
  rng = np.random.default_rng(0)
  history = [child(float(r)) for r in rng.normal(size=5000)]
  assert len(plot.search_curve(history, history[::-1])) < 400_000


def test_empty_pictures_say_so():
  assert 'No child' in plot.search_curve([])
  assert 'No epoch' in plot.training_curve([])
  assert 'No epoch' in plot.training_curve([{'epoch': 0, 'seconds': 1.0}])


def test_training_curve():
  epochs = [{'epoch': e, 'loss': 1 / (e + 1), 'train_accuracy': 0.1 * e,
             'name': 'x', 'step': 7, 'averaged': True, 'seconds': 2.0}
            for e in range(5)]
  root = ElementTree.fromstring(plot.training_curve(epochs, epochs[:3], 'mine'))
  texts = [t.text for t in root.iter(f'{SVG}text')]
  assert {'loss', 'train accuracy', 'mine', 'random search'} <= set(texts)
  assert not {'name', 'step', 'averaged', 'seconds'} & set(texts)
  lines = [p for p in root.iter(f'{SVG}path') if 'L' in p.get('d')]
  assert [p.get('class') for p in lines] == ['b', 'a', 'b', 'a']
  one = plot.training_curve(epochs[:1])
  assert ElementTree.fromstring(one) is not None and 'adots"' in one


CURVE = {'label': 'mean of 3 seeds', 'rounds': [0, 5, 10],
         'mean': [2., 4., 8.], 'low': [1., 3., 7.], 'high': [3., 5., 9.]}


def test_reward_curve_has_a_line_and_a_band():
  root = ElementTree.fromstring(plot.reward_curve(CURVE))
  texts = [t.text for t in root.iter(f'{SVG}text')]
  assert {'mean of 3 seeds', 'least to greatest seed', 'round'} <= set(texts)
  assert not any('random' in t or 'reference' in t for t in texts)
  line = path_of(root, 'a')
  heights = [float(p.split(',')[1]) for p in line[1:].split('L')]
  assert len(heights) == 3 and heights == sorted(heights, reverse=True)
  band = next(p.get('d') for p in root.iter(f'{SVG}path')
              if p.get('class') == 'aband' and p.get('d').endswith('z')
              and 'L' in p.get('d'))
  assert band.count('L') == 5  # Three of the greatest, three of the least.
  assert root.find(f'{SVG}title').text == 'Mean reward, 8 at the end'


def test_reward_curve_beside_a_reference():
  found = CURVE | {
      'random': [2., 2., 2.], 'bound': 9.5,
      'reference': {'label': 'reference', 'rounds': [0, 10], 'mean': [2, 7],
                    'low': [1, 6], 'high': [3, 8]},
      'published': {'label': 'log', 'rounds': [0, 9], 'mean': [2.5, 7.]}}
  text = plot.reward_curve(found)
  root = ElementTree.fromstring(text)
  texts = [t.text for t in root.iter(f'{SVG}text')]
  assert {'random search', 'bound 9.500', 'reference, mean', 'log',
          'its least to greatest seed'} <= set(texts)
  dots = [p.get('d') for p in root.iter(f'{SVG}path')
          if p.get('class') == 'bdots']
  assert sorted(d.count('M') for d in dots) == [1, 2]  # Legend and log.
  assert text == plot.reward_curve(found) and 'nan' not in text


def test_a_curve_of_one_round():
  one = {k: v[:1] for k, v in CURVE.items() if k != 'label'} | {'label': 'one'}
  assert 'nan' not in plot.reward_curve(one)


def test_scatter():
  text = plot.scatter([1., 2., 4.], [.5, .25, .75], 'a & b', 'c')
  root = ElementTree.fromstring(text)
  dots, = [p.get('d') for p in root.iter(f'{SVG}path')
           if p.get('class') == 'adots']
  x, y = zip(*((float(v) for v in d.removesuffix('h0').split(','))
               for d in dots[1:].split('M')))
  assert x[1] - x[0] == pytest.approx((x[2] - x[1]) / 2, abs=.2)
  assert y[1] > y[0] > y[2]  # Down is more.
  assert {'a & b', 'c'} <= {t.text for t in root.iter(f'{SVG}text')}
  assert 'nan' not in plot.scatter([1., 1.], [0., 0.], 'a', 'b')


def test_two_curves_with_bands_on_every_axis():
  up, down = np.array([0., 1, 2]), np.array([2., 1, 0])
  panels = [
      plot.Panel('rising', [(up, up - 1, up + 1), (down, down - 1, down + 1)]),
      plot.Panel('flat', [(up * 0,) * 3, (up * 0,) * 3])]
  text = plot.panels(panels, ['with <it>', 'without'], 'round', 'all seeds')
  assert text == plot.panels(
      panels, ['with <it>', 'without'], 'round', 'all seeds')
  root = ElementTree.fromstring(text)
  texts = [t.text for t in root.iter(f'{SVG}text')]
  for expected in ('with <it>', 'without', 'all seeds', 'rising', 'flat'):
    assert expected in texts
  assert texts.count('round') == 2
  curves = {style: [p.get('d') for p in root.iter(f'{SVG}path')
                    if p.get('class') == style][1:] for style in (
                        'a', 'b', 'aband', 'band')}
  assert all(len(found) == 2 for found in curves.values())
  heights = {style: [float(point.split(',')[1]) for point in
                     found[0].strip('Mz').split('L')]
             for style, found in curves.items()}
  # y points down, and the bands go there and back.
  assert heights['a'] == sorted(heights['a'], reverse=True)
  assert heights['b'] == sorted(heights['b'])
  assert len(set(heights['a'])) == 3 and heights['a'][1] == heights['b'][1]
  assert len(heights['aband']) == 6


def test_a_band_without_width_is_a_line_there_and_back():
  flat = np.ones(4)
  text = plot.panels([plot.Panel('', [(flat, flat, flat), (
      flat, flat, np.array([2., 1, 1, 1]))])], 'ab', 'round', 'all seeds')
  band = next(p.get('d') for p in list(ElementTree.fromstring(text).iter(
      f'{SVG}path'))[::-1] if p.get('class') == 'band')
  # The last point turns round; the others are met twice.
  x = [float(p.split(',')[0]) for p in band.strip('Mz').split('L')]
  assert x == [*x[:4], *x[2::-1]] and x[:4] == sorted(set(x))


def test_fans_of_more_strategies_than_colors():
  x = np.arange(1, 6)
  found = [plot.Fan(f'<{i}>', x, x + i, x + i - .5, x + i + .5)
           for i in range(9)]
  root = ElementTree.fromstring(plot.fans(found, 'evaluations', 'y', 'bands'))
  styles = [p.get('class') for p in root.iter(f'{SVG}path')]
  assert styles.count('c0') == 2 and styles.count('c0 later') == 2
  assert styles.count('band7 thin') == 1
  texts = [t.text for t in root.iter(f'{SVG}text')]
  assert '<8>' in texts and 'y (bands)' in texts
  one = plot.Fan('flat', [3.], [1.], [1.], [1.])
  assert 'nan' not in plot.fans([one], 'x', 'y', '')


def test_lives():
  text = plot.lives([0., 60., 600.], [.1, .2, .3], [False, True, True])
  root = ElementTree.fromstring(text)
  dots = [p.get('d').count('M') for p in root.iter(f'{SVG}path')
          if p.get('class') == 'adots']
  assert dots == [1, 2]  # That of the legend, and two.
  texts = [t.text for t in root.iter(f'{SVG}text')]
  assert 'minutes' in texts and 'alive' in texts and 'dead' in texts
