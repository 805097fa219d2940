"""Loads the image classifier that lies in this folder; needs only JAX
and flatbuffers, which JAX reads exported programs with.

  import load
  model = load.load()
  logits = model(images)  # uint8[B, H, W, C] -> float32[B, K]
"""

import hashlib
import json
import pathlib

import jax
import jax.export
import numpy as np

_HERE = pathlib.Path(__file__).resolve().parent


def load(folder=_HERE):
  """The classifier, as a function; raises ValueError if it is damaged."""
  folder = pathlib.Path(folder)
  about = json.loads((folder / 'model.json').read_text('utf-8'))
  artifact = (folder / about['artifact']).read_bytes()
  if hashlib.sha256(artifact).hexdigest() != about['sha256']:
    raise ValueError(f'{folder / about["artifact"]} is damaged: its SHA-256 is '
                     'not that in model.json')
  exported = jax.export.deserialize(bytearray(artifact))
  (batch, *shape), classes = exported.in_avals[0].shape, exported.out_avals[0]
  if shape != about['image_shape'] or not (
      classes.shape[1] == about['num_classes'] == len(about['class_names'])):
    raise ValueError(
        f'{folder} does not fit together: the network has images {shape} and '
        f'{classes.shape[1]} classes, model.json {about["image_shape"]} and '
        f'{about["num_classes"]}, with {len(about["class_names"])} names')
  call = jax.jit(exported.call)

  def model(images):
    images = np.asarray(images)
    if images.dtype != np.uint8 or [*images.shape[1:]] != shape or (
        about['batch_size'] not in (None, len(images))):
      raise ValueError(f'expected images uint8[{batch}, {str(shape)[1:-1]}], '
                       f'got {images.dtype}{list(images.shape)}')
    return np.asarray(call(images))

  return model
