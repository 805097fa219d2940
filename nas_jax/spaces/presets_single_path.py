"""Architectures of Single Path One-Shot and FairNAS, and their spaces' plans.

References:
  Guo et al., arXiv 1904.00420; megvii-model/SinglePathOneShot.
  Chu et al., arXiv 1907.01845; xiaomi-automl/FairNAS.
"""

from collections.abc import Mapping

from nas_jax.spaces.preset import Preset

# Width and blocks of each stage; its first block halves the image. A block is
# one of 0, 1, 2: a shuffle block of kernel 3, 5, 7; 3: an Xception block.
SPOS_STAGES = ((64, 4), (160, 4), (320, 8), (640, 4))
SPOS_CHOICES = (0, 1, 2, 3)
# Width, layers, stride of the first one of each stage.
FAIRNAS_STAGES = ((32, 2, 2), (40, 4, 2), (80, 4, 2), (96, 4, 1), (192, 4, 2),
                  (320, 1, 1))
# Expansion and kernel of an inverted bottleneck.
FAIRNAS_CHOICES = tuple((e, k) for e in (3, 6) for k in (3, 5, 7))


def _layers(text: str) -> tuple[tuple[int, int], ...]:
  """(expansion, kernel) pairs from '37 33 ...'."""
  return tuple((int(pair[0]), int(pair[1])) for pair in text.split())


PRESETS: Mapping[str, Preset] = {
    'SPOS': Preset('spos', (
        2, 1, 0, 1, 2, 0, 2, 0, 2, 0, 2, 3, 0, 0, 0, 0, 3, 2, 3, 3)),
    'FairNAS-A': Preset('fairnas', _layers(
        '37 33 37 63 67 33 33 67 67 35 63 35 35 63 63 67 63 67 65')),
    'FairNAS-B': Preset('fairnas', _layers(
        '35 33 35 33 63 35 37 33 63 35 33 63 37 33 67 65 67 63 65')),
    'FairNAS-C': Preset('fairnas', _layers(
        '35 33 37 33 33 33 33 33 33 63 33 33 33 33 67 67 63 63 65')),
}
