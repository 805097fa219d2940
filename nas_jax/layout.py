"""Where the boxes of a layered graph go, column by column."""

from collections.abc import Callable, Sequence
import math

import numpy as np

Item = tuple[int, int]  # what it is, and its column


def place(
    items: Sequence[Item], links: Sequence[tuple[Item, Item]],
    height: Callable[[Item], float],
) -> dict[Item, float]:
  """Middles of all items: near their neighbours' mean, few crossings.

  Args:
    items: what is drawn; items that only links name are placed too.
    links: from an item to one in the next column.
    height: of an item, without the space to its neighbours.
  """
  items = sorted({*items, *(i for link in links for i in link)})
  columns = [[i for i in items if i[1] == c]
             for c in range(max(c for _, c in items) + 1)]
  near = {i: [] for i in items}
  for a, b in links:
    near[a].append(b)
    near[b].append(a)
  y, best = {i: 0.0 for i in items}, (math.inf, {})
  for sweep in range(40):
    # First the order of each column is free, then only the heights.
    if sweep == 24:
      y = dict(best[1])
    for c in range(len(columns))[::1 if sweep % 2 else -1]:
      wish = {i: np.mean([y[n] for n in near[i]] or [y[i]]) for i in columns[c]}
      free = c > 0 and sweep < 24
      order = sorted(columns[c], key=(wish if free else y).get)
      size = np.array([height(i) + 16 for i in order])
      room = np.cumsum(size) - size / 2
      y |= zip(order, _rising(np.array([wish[i] for i in order]) - room) + room)
    crossed = sum(
        a[1] == p[1] and (y[a] - y[p]) * (y[b] - y[q]) < 0
        for i, (a, b) in enumerate(links) for p, q in links[:i])
    best = min(best, (crossed, dict(y)), key=lambda pair: pair[0])
  return {i: round(float(v), 1) for i, v in y.items()}


def _rising(values: np.ndarray) -> np.ndarray:
  """The nearest vector that never falls (pool adjacent violators)."""
  blocks = []
  for value in values:
    blocks.append([value])
    while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
      blocks[-2:] = [blocks[-2] + blocks[-1]]
  return np.concatenate([np.full(len(b), np.mean(b)) for b in blocks])
