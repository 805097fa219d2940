"""A trained network as one file that runs without this package.

The file is a StableHLO program with the weights inside, written by
`jax.export`; `model.json` describes it and `load.py`, which needs only JAX
and flatbuffers, loads it (nas_jax/loader.py is that file).
"""

from collections.abc import Sequence
import hashlib
import importlib.util
import os
import pathlib
import tempfile
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from nas_jax import loader
from nas_jax import records
from nas_jax import trained as trained_networks
from nas_jax.networks import separable
from nas_jax.spaces import genotypes

FORMAT = 1
PLATFORMS = ('cpu', 'cuda', 'tpu')
_ARTIFACT = 'model.stablehlo'
_LOADER = 'load.py'
_JSON = 'model.json'
_TOLERANCE = 1e-5  # of the largest logit, in float32
_NUM_CHECKED = 8


def export(
    trained: trained_networks.Trained,
    folder: str | os.PathLike,
    *,
    platforms: Sequence[str] = PLATFORMS,
    batch_size: int | None = None,
) -> dict[str, Any]:
  """Writes model.stablehlo, load.py and model.json, and tries them.

  The program maps images uint8[B, H, W, C] to logits float32[B, K];
  normalisation is inside.

  Note: separable convolutions are lowered as grouped convolutions, which all
  platforms have, whatever the network's style.

  Args:
    trained: the network.
    folder: of the files, made if it is not there. They are put there only
      after the artifact, loaded back, has given the logits of the network.
    platforms: what the program runs on.
    batch_size: B, or None for a program that accepts every B.

  Returns:
    The content of model.json.

  Raises:
    ValueError: an unknown platform, a batch size below 1, or an artifact that
      computes something else than the network.
  """
  artifact = serialize(trained, platforms=platforms, batch_size=batch_size)
  about = {
      'format': FORMAT, 'artifact': _ARTIFACT,
      'sha256': hashlib.sha256(artifact).hexdigest(),
      'image_shape': list(trained.task.image_shape), 'batch_size': batch_size,
      'num_classes': trained.net.nodes[-1].shape[-1],
      'class_names': list(trained.class_names), 'platforms': list(platforms),
      'architecture': {
          'family': trained.preset.family,
          'genotype': genotypes.to_json(trained.preset.genotype)},
      'jax': jax.__version__}
  folder = pathlib.Path(folder)
  folder.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(dir=folder) as temporary:
    new = pathlib.Path(temporary)
    (new / _ARTIFACT).write_bytes(artifact)
    records.write_text(
        new / _LOADER, pathlib.Path(loader.__file__).read_text('utf-8'))
    records.write_json(new / _JSON, about)
    about['difference'] = check(trained, new)
    records.write_json(new / _JSON, about)
    for name in (_ARTIFACT, _LOADER, _JSON):
      os.replace(new / name, folder / name)
  return about


def serialize(
    trained: trained_networks.Trained,
    *,
    platforms: Sequence[str] = PLATFORMS,
    batch_size: int | None = None,
) -> bytes:
  """The program with its weights, see `export`."""
  unknown = set(platforms) - set(PLATFORMS)
  if unknown or not platforms:
    raise ValueError(f'platforms are {list(platforms)}, expected some of '
                     f'{", ".join(PLATFORMS)}')
  if batch_size is not None and batch_size < 1:
    raise ValueError(f'batch_size is {batch_size}, expected at least 1')
  batch = batch_size or jax.export.symbolic_shape('B')[0]
  images = jax.ShapeDtypeStruct((batch, *trained.task.image_shape), jnp.uint8)
  with separable.forced('grouped'):
    exported = jax.export.export(
        jax.jit(trained_networks.logits_fn(trained)), platforms=platforms
    )(images)
  return bytes(exported.serialize())


def check(trained: trained_networks.Trained, folder: str | os.PathLike
          ) -> float:
  """Compares exported files with the network on random images.

  Args:
    trained: the network.
    folder: of the exported files.

  Returns:
    The largest difference of two logits over the largest logit.

  Raises:
    ValueError: the artifact is damaged or computes something else.
  """
  folder = pathlib.Path(folder)
  spec = importlib.util.spec_from_file_location('exported', folder / _LOADER)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  model = module.load(folder)
  size = records.read_json(folder / _JSON)['batch_size'] or _NUM_CHECKED
  images = np.random.default_rng(0).integers(
      0, 256, (size, *trained.task.image_shape), np.uint8)
  expected = np.asarray(jax.jit(trained_networks.logits_fn(trained))(images))
  found = model(images)
  if found.shape != expected.shape:
    raise ValueError(f'{folder} gives logits {found.shape}, the network '
                     f'{expected.shape}: they differ in their classes')
  difference = float(np.max(np.abs(found - expected))
                     / max(np.max(np.abs(expected)), 1e-30))
  # Narrow types round differently in differently compiled programs.
  tolerance = _TOLERANCE if trained.net.dtype in (None, 'float32') else (
      8 * float(jnp.finfo(trained.net.dtype).eps))
  if not difference <= tolerance:
    raise ValueError(
        f'the exported network differs from the trained one by {difference:.2g}'
        f' of the largest logit, more than {tolerance:.2g}')
  return difference
