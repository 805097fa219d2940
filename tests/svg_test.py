import io
import sys
from xml.etree import ElementTree

import numpy as np
from PIL import Image
import pytest

from nas_jax import svg


def _picture():
  return svg.svg(120, 80, [svg.box(10, 40, 100, 60, cls='conv'),
                           svg.text(20, 44, 'a < b \u2212 c')], 'Title & more')


def test_text_is_escaped():
  root = ElementTree.fromstring(_picture())
  texts = [element.text for element in root.iter()]
  assert 'Title & more' in texts and 'a < b \u2212 c' in texts


def test_elements_round_their_numbers():
  assert svg.tag('rect', x=1 / 3, rx=2.0, stroke_width='x', cls='a') == (
      '<rect class="a" x="0.3" rx="2" stroke-width="x"></rect>')
  assert svg.marks('a', 'h0', [], 3) == ''
  assert svg.marks('a', 'h0', [1, 1, 2], 3) == (
      '<path class="a" d="M1.0,3.0h0M2.0,3.0h0"></path>')


def test_a_png_has_the_size_the_colours_and_the_text():
  image = Image.open(io.BytesIO(svg.png(_picture(), zoom=3)))
  assert image.format == 'PNG' and image.size == (360, 240)
  pixels = image.convert('RGB')
  assert pixels.getpixel((3, 3)) == (255, 255, 255)
  assert pixels.getpixel((300, 60)) == (0xdd, 0xf0, 0xff)  # --conv
  dark = np.asarray(pixels).max(-1) < 60
  assert dark.sum() > 200  # Strokes of letters, with the font that Pillow has.
  assert svg.png(_picture()) == svg.png(_picture())


def test_without_its_package_a_png_is_an_error(monkeypatch):
  monkeypatch.setitem(sys.modules, 'resvg_py', None)
  with pytest.raises(ValueError, match='resvg-py: pip install'):
    svg.png(_picture())
