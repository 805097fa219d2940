"""What the tests of training share: data, one network, compiled once."""

from typing import NamedTuple

import pytest

from nas_jax.data import images as image_data
from nas_jax.networks import graph
from nas_jax.networks import image
from nas_jax.training import classify
from nas_jax.training import recipes

_CELL = (('conv_1x1', 0), ('max_pool_3x3', 1))


class Tiny(NamedTuple):
  """A network of two cells, with dropped paths, on a few digits."""
  data: image_data.ImageData
  net: graph.Graph
  recipe: recipes.Recipe
  trainer: classify.Trainer  # in blocks


@pytest.fixture(scope='package')
def tiny() -> Tiny:
  data = image_data.load('digits', max_train=740, validation_size=100)
  net = image.cifar_net(
      (_CELL, (2,), _CELL, (2,)), image_shape=(8, 8, 1), num_classes=10,
      num_cells=1, features=8, num_reductions=1, drop_path_keep=.9)
  recipe = recipes.Recipe(
      epochs=4, batch_size=32, learning_rate=.1, crop_padding=1, flip=False,
      eval_batch_size=50)
  return Tiny(data, net, recipe, classify.compile_trainer(
      net, recipe, classify.task_of(data), execution='blocks'))
