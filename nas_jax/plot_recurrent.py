"""Pictures of recurrent cells, and of the language models around them."""

from collections.abc import Callable, Mapping
from typing import Any

from nas_jax import plot_graph
from nas_jax.networks import language
from nas_jax.spaces import presets
from nas_jax.spaces import recurrent
from nas_jax.spaces import recurrent_tree

_Box = plot_graph.Box
_Boxes = tuple[list[plot_graph.Box], str]
_BOTH = _Box('', 'x, h', ())
_STEPS = {'add': '+', 'elem_mult': 'times', 'max': 'max'}


def draw_cell(preset: presets.Preset) -> str:
  """One step of a recurrent cell from top to bottom, as SVG.

  x is its input, h its state and output, c the second state of those that
  have one; h' and c' are those after the step.

  Args:
    preset: of one of the families of spaces/recurrent.py.

  Raises:
    ValueError: another family, or a wrong genotype.
  """
  if preset.family not in _FAMILIES:
    raise ValueError(f'{preset.family!r} is no family of recurrent cells, '
                     f'expected one of {", ".join(_FAMILIES)}')
  return plot_graph.draw(*_FAMILIES[preset.family](preset.genotype))


def draw_model(model: language.Model, title: str) -> str:
  """A language model from tokens to the next token, as SVG.

  Args:
    model: what to draw.
    title: what it is called.
  """
  sizes = model.sizes
  tokens = f'{sizes.vocabulary:,} tokens'
  embedding = f'embedding of {tokens}, {sizes.embedding:,} features'
  boxes = [_Box('', 'tokens', ()), _Box('', embedding, (0,))]
  for i, (_, units) in enumerate(sizes.layers(), 1):
    boxes.append(_Box(str(i), f'recurrent layer, {units:,} units',
                      (len(boxes) - 1,)))
  decoder = 'the embedding again' if sizes.tied else 'weights of its own'
  boxes += [_Box('', f'softmax over {tokens}, {decoder}', (len(boxes) - 1,)),
            _Box('', 'next token', (len(boxes),))]
  return plot_graph.draw(
      boxes, f'{title}: {model.num_params:,} parameters')


def _chain(genotype: recurrent.Chain) -> _Boxes:
  chain = recurrent.check(genotype)
  boxes = [_BOTH, _Box('0', 'tanh', (0,))]
  for i, (activation, state) in enumerate(chain.nodes, 1):
    boxes.append(_Box(str(i), activation, (state + 1,)))
  mean = "mean: h'" if len(chain.concat) > 1 else "h'"
  boxes.append(_Box('', mean, tuple(i + 1 for i in sorted(chain.concat))))
  return boxes, f'chain of {len(chain.nodes)} nodes with highway connections'


def _tree(genotype: recurrent_tree.Tree) -> _Boxes:
  tree = recurrent_tree.check(genotype)
  new_c, injected = tree.indices
  boxes, place = [_BOTH, _Box('', 'c', ())], []
  children = recurrent_tree.children(len(tree.nodes))
  for i, (node, below) in enumerate(zip(tree.nodes, children)):
    boxes.append(_Box(str(i), _step(node), tuple(
        place[j] for j in below) if below else (0,)))
    place.append(len(boxes) - 1)
    if i == new_c:
      activation = tree.nodes[i][1]
      before = '' if activation == 'identity' else f', before {activation}'
      boxes.append(_Box('', f"c'{before}", (place[i],)))
    if i == injected:
      boxes.append(_Box(f"{i}'", _step(tree.inject), (place[i], 1)))
      place[i] = len(boxes) - 1
  boxes.append(_Box('', "h'", (place[-1],)))
  return boxes, f'tree of {len(tree.nodes)} nodes'


def _lstm(genotype: tuple[()]) -> _Boxes:
  language.CELLS['lstm'](genotype, 1.)  # Checks it.
  return [
      _BOTH, _Box('', 'c', ()), _Box('f', 'sigmoid', (0,)),
      _Box('i', 'sigmoid', (0,)), _Box('g', 'tanh', (0,)),
      _Box('o', 'sigmoid', (0,)), _Box('', 'times', (1, 2)),
      _Box('', 'times', (3, 4)), _Box('', '+', (6, 7)),
      _Box('', "c'", (8,)), _Box('', 'tanh', (8,)),
      _Box('', 'times', (10, 5)), _Box('', "h'", (11,))], 'LSTM'


def _rhn(genotype: tuple[int]) -> _Boxes:
  language.CELLS['rhn'](genotype, 1.)  # Checks it.
  depth, = genotype
  layers = [_Box(str(i), 'tanh', (i - 1,)) for i in range(1, depth + 1)]
  return [_BOTH, *layers, _Box('', "h'", (depth,))], (
      f'recurrent highway network of depth {depth}')


def _step(node: tuple[str, str]) -> str:
  combination, activation = node
  return f'{_STEPS[combination]}, {activation}'


_FAMILIES: Mapping[str, Callable[[Any], _Boxes]] = {
    'rnn_chain': _chain, 'rnn_tree': _tree, 'lstm': _lstm, 'rhn': _rhn,
    'awd_lstm': _lstm}
