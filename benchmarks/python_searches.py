"""Searches of a table as they are usually written: plain Python, one by one.

Counterparts for benchmarks/tabular.py, of the same algorithms with the same
settings. A cell is a list of the names of operations, the table a dictionary
by the cell's string, and every search keeps its history.
"""

from collections.abc import Callable, Sequence
import collections
import math
import random

from nas_jax.spaces import nasbench201

_OPERATIONS = list(nasbench201.OPERATIONS)
_EDGES = range(len(nasbench201.EDGES))

Cell = list[str]
Row = tuple[float, float]  # reward, seconds
# (seed, evaluations, table) -> reward and seconds of each evaluation
Search = Callable[[int, int, dict[str, Row]], list[Row]]


def table(cells: Sequence[Sequence[str]], rewards: Sequence[float],
          seconds: Sequence[float]) -> dict[str, Row]:
  """Rows by the string of a cell."""
  return {_string(c): (float(r), float(s))
          for c, r, s in zip(cells, rewards, seconds)}


def random_search(seed: int, evaluations: int, rows: dict[str, Row]
                  ) -> list[Row]:
  """Uniform cells."""
  rng = random.Random(seed)
  history = []
  for _ in range(evaluations):
    history.append(rows[_string(_random_cell(rng))])
  return history


def evolution(seed: int, evaluations: int, rows: dict[str, Row]) -> list[Row]:
  """Regularized evolution: population 10, samples of 3."""
  rng = random.Random(seed)
  history = []
  population = collections.deque()
  for _ in range(evaluations):
    if len(population) < 10:
      child = _random_cell(rng)
    else:
      sample = [rng.choice(population) for _ in range(3)]
      parent = max(sample, key=lambda member: member[0])
      child = list(parent[1])
      edge = rng.randrange(len(child))
      child[edge] = rng.choice([o for o in _OPERATIONS if o != child[edge]])
      population.popleft()
    row = rows[_string(child)]
    history.append(row)
    population.append((row[0], child))
  return history


def reinforce(seed: int, evaluations: int, rows: dict[str, Row]) -> list[Row]:
  """A softmax per edge, Adam at 0.01, corrected average of rewards 0.9."""
  rng = random.Random(seed)
  history = []
  logits = [[rng.gauss(0, 1e-3) for _ in _OPERATIONS] for _ in _EDGES]
  first = [[0. for _ in _OPERATIONS] for _ in _EDGES]
  second = [[0. for _ in _OPERATIONS] for _ in _EDGES]
  total = weight = 0.
  for step in range(1, evaluations + 1):
    probabilities = []
    for row in logits:
      exps = [math.exp(x) for x in row]
      probabilities.append([x / sum(exps) for x in exps])
    chosen = [rng.choices(range(len(p)), p)[0] for p in probabilities]
    found = rows[_string([_OPERATIONS[i] for i in chosen])]
    history.append(found)
    total, weight = .9 * total + .1 * found[0], .9 * weight + .1
    advantage = found[0] - total / weight
    for t, i in enumerate(chosen):
      for j, p in enumerate(probabilities[t]):
        gradient = -advantage * ((i == j) - p)
        first[t][j] = .9 * first[t][j] + .1 * gradient
        second[t][j] = .999 * second[t][j] + .001 * gradient ** 2
        logits[t][j] -= .01 * (first[t][j] / (1 - .9 ** step)) / (
            math.sqrt(second[t][j] / (1 - .999 ** step)) + 1e-8)
  return history


def q_learning(
    seed: int, evaluations: int, rows: dict[str, Row],
    schedule: Sequence[tuple[float, int]] = ()) -> list[Row]:
  """Rounds of 10 children, 64 replayed at 0.1 after each.

  Args:
    seed: of all randomness.
    evaluations: a multiple of 10.
    rows: the table.
    schedule: pairs (epsilon, rounds).
  """
  rng = random.Random(seed)
  history, memory = [], []
  count = len(_OPERATIONS)
  q = [[[.5] * count for _ in range(count)] for _ in _EDGES]
  epsilons = [e for e, n in schedule for _ in range(n)]
  for epsilon in epsilons[:evaluations // 10]:
    for _ in range(10):
      cell, previous = [], 0
      for values in q:
        if rng.random() < epsilon:
          action = rng.randrange(count)
        else:
          best = max(values[previous])
          action = rng.choice([i for i, value in enumerate(values[previous])
                               if value == best])
        cell.append(action)
        previous = action
      row = rows[_string([_OPERATIONS[i] for i in cell])]
      history.append(row)
      memory.append((cell, row[0]))
    for _ in range(min(64, len(memory))):
      cell, reward = rng.choice(memory)
      shaped = reward / len(cell)
      for t in reversed(_EDGES):
        target = reward if t == len(cell) - 1 else shaped + max(
            q[t + 1][cell[t]])
        values = q[t][cell[t - 1] if t else 0]
        values[cell[t]] += .1 * (target - values[cell[t]])
  return history


def _random_cell(rng: random.Random) -> Cell:
  return [rng.choice(_OPERATIONS) for _ in _EDGES]


def _string(cell: Sequence[str]) -> str:
  return (f'|{cell[0]}~0|+|{cell[1]}~0|{cell[2]}~1|+'
          f'|{cell[3]}~0|{cell[4]}~1|{cell[5]}~2|')
