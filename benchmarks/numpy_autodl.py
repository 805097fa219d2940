"""The generator of AutoDL Design in plain numpy, gradient by hand.

The arithmetic of `nas_jax.controllers.tokens` with its defaults, on the same
tree of parameters, for a batch of architectures of one seed. It imports
nothing of nas_jax.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

NODES, TOKENS, HIDDEN, WIDTH, CELLS = 10, 10, 64, 10, 2
BITS = NODES * (NODES - 1) // 2
_CONSTANT, _TEMPERATURE = 2.5, 5.


class _Head(NamedTuple):
  """Which rows of which parameters a step's softmax or sigmoids are."""
  kind: str  # 'token' or 'edge'
  index: int | tuple[int, slice]


class _Step(NamedTuple):
  """What the backward pass needs of one step."""
  head: _Head
  layers: list[tuple[np.ndarray, ...]]
  hidden: np.ndarray  # [B, H]
  squashed: np.ndarray  # tanh(z / temperature)
  error: np.ndarray  # of the negative log-probability in the logits


def heads() -> list[_Head]:
  """Of all 38 steps."""
  found = []
  for cell in range(CELLS):
    for node in range(NODES):
      if node:
        first = node * (node - 1) // 2
        found.append(_Head('edge', (cell, slice(first, first + node))))
      found.append(_Head('token', cell * NODES + node))
  return found


def draw(rng: np.random.Generator) -> Callable:
  """Chooses by chance."""
  def choose(head, logits):
    if head.kind == 'token':
      return np.argmax(logits + rng.gumbel(size=logits.shape), 1)
    return (rng.random(logits.shape) < _sigmoid(logits)).astype(np.float32)
  return choose


def given(genomes: np.ndarray) -> Callable:
  """Chooses what genomes hold, int[B, 110]."""
  bits = genomes[:, CELLS * NODES:].reshape(-1, CELLS, BITS)

  def choose(head, logits):
    if head.kind == 'token':
      return genomes[:, head.index]
    cell, rows = head.index
    return bits[:, cell, rows].astype(np.float32)
  return choose


def forward(params: dict, batch: int, choose: Callable
            ) -> tuple[np.ndarray, np.ndarray, list[_Step]]:
  """Tokens [B, 20], negative log-probabilities [B], and the tape."""
  x = np.zeros((batch, WIDTH), np.float32)
  state = [(np.zeros((batch, HIDDEN), np.float32),) * 2 for _ in range(2)]
  tokens, neglogp, tape = [], np.zeros(batch, np.float32), []
  for head in heads():
    layers = []
    for i, (h, c) in enumerate(state):
      saved = _cell(params['lstm'][f'kernel{i}'], params['lstm'][f'bias{i}'],
                    np.concatenate([x, h], 1), c)
      layers.append(saved)
      x = saved[-1] * saved[-3]
      state[i] = x, saved[-2]
    kernel = params[f'{head.kind}_kernels'][head.index]
    bias = params[f'{head.kind}_biases'][head.index]
    squashed = np.tanh((x @ kernel.T + bias) / _TEMPERATURE)
    logits = _CONSTANT * squashed
    choice = choose(head, logits)
    hidden, x = x, np.zeros((batch, WIDTH), np.float32)
    if head.kind == 'token':
      top = logits.max(1, keepdims=True)
      log_probs = logits - top - np.log(
          np.exp(logits - top).sum(1, keepdims=True))
      rows = np.arange(batch)
      neglogp -= log_probs[rows, choice]
      x[rows, choice] = 1
      error = np.exp(log_probs) - x
      tokens.append(choice)
    else:
      x[:, :choice.shape[1]] = choice
      neglogp += (np.logaddexp(0, logits) - choice * logits).sum(1)
      error = _sigmoid(logits) - choice
    tape.append(_Step(head, layers, hidden, squashed, error))
  return np.stack(tokens, 1), neglogp, tape


def backward(params: dict, tape: list[_Step], advantages: np.ndarray) -> dict:
  """The gradient of mean(neglogp * advantages)."""
  grads = {name: np.zeros_like(p) for name, p in params.items()
           if name != 'lstm'}
  grads['lstm'] = {name: np.zeros_like(p) for name, p in
                   params['lstm'].items()}
  batch = len(advantages)
  weights = (advantages / batch).astype(np.float32)[:, None]
  zeros = np.zeros((batch, HIDDEN), np.float32)
  dh, dc = [zeros, zeros], [zeros, zeros]
  for step in reversed(tape):
    kind, index = step.head
    dz = (step.error * weights * (1 - step.squashed ** 2)
          * (_CONSTANT / _TEMPERATURE))
    grads[f'{kind}_kernels'][index] += dz.T @ step.hidden
    grads[f'{kind}_biases'][index] += dz.sum(0)
    above = dz @ params[f'{kind}_kernels'][index]
    for i in (1, 0):
      inputs, c_before, gate_i, gate_j, gate_f, gate_o, _, tanh_c = (
          step.layers[i])
      above = above + dh[i]
      d = dc[i] + above * gate_o * (1 - tanh_c ** 2)
      sums = np.concatenate([
          d * gate_j * gate_i * (1 - gate_i), d * gate_i * (1 - gate_j ** 2),
          d * c_before * gate_f * (1 - gate_f),
          above * tanh_c * gate_o * (1 - gate_o)], 1)
      grads['lstm'][f'kernel{i}'] += inputs.T @ sums
      grads['lstm'][f'bias{i}'] += sums.sum(0)
      inputs_grad = sums @ params['lstm'][f'kernel{i}'].T
      above, dh[i] = inputs_grad[:, :-HIDDEN], inputs_grad[:, -HIDDEN:]
      dc[i] = d * gate_f
  return grads


class Demo:
  """The number-of-ones demo of one seed."""

  def __init__(self, params: dict, seed: int, batch: int = 10):
    self.params, self.batch = params, batch
    self._rng = np.random.default_rng(seed)
    self._leaves = _leaves(params)
    self._moments = [(np.zeros_like(p), np.zeros_like(p))
                     for p in self._leaves]
    self._baseline, self._count = None, 0

  def step(self) -> float:
    """One update; the mean reward of its batch."""
    tokens, _, tape = forward(self.params, self.batch, draw(self._rng))
    rewards = (tokens == 1).sum(1)
    mean = rewards.mean()
    self._baseline = (mean if self._baseline is None else
                      .9 * self._baseline + .1 * mean)
    grads = _leaves(backward(self.params, tape, rewards - self._baseline))
    self._count += 1
    rate = 1e-3 * (1 - .999 ** self._count) ** .5 / (1 - .9 ** self._count)
    for p, g, (m, v) in zip(self._leaves, grads, self._moments):
      m += .1 * (g - m)
      v += .001 * (g * g - v)
      p -= (rate * m / (np.sqrt(v) + 1e-8)).astype(np.float32)
    return float(mean)


def _cell(kernel, bias, inputs, c):
  i, j, f, o = np.split(inputs @ kernel + bias, 4, 1)
  i, j, f, o = _sigmoid(i), np.tanh(j), _sigmoid(f), _sigmoid(o)
  after = c * f + i * j
  return inputs, c, i, j, f, o, after, np.tanh(after)


def _sigmoid(x):
  return 1 / (1 + np.exp(-x))


def _leaves(tree):
  return [leaf for name in sorted(tree) for leaf in (
      _leaves(tree[name]) if isinstance(tree[name], dict) else [tree[name]])]
