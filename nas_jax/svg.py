"""SVG as text: the elements that all pictures are made of."""

from collections.abc import Iterable
import html
import re
import tempfile

import numpy as np
import numpy.typing as npt
from PIL import ImageFont

STYLE = """
.nas{--ink:#1f2328;--dim:#636c76;--grid:#dfe3e8;--box:#f6f8fa;--edge:#afb8c1;
--page:#fff;--a:#0969da;--b:#cf6012;--bad:#cf222e;--grey:#6e7781;
--conv:#ddf0ff;--pool:#def5df;font:12px system-ui,"Segoe UI",sans-serif}
@media screen and (prefers-color-scheme:dark){.nas{--ink:#e6edf3;--dim:#9aa4af;
--grid:#2b3138;--box:#161b22;--edge:#57606a;--page:#0d1117;--a:#4a9dff;
--b:#f0883e;--bad:#ff6a61;--grey:#8b949e;--conv:#12304f;--pool:#143620}}
.nas text{fill:var(--ink)}.nas .dim{fill:var(--dim)}
.nas path{fill:none;stroke-width:1.7;stroke-linejoin:round}
.nas .grid{stroke:var(--grid);stroke-width:1}
.nas .a,.nas .s1{stroke:var(--a)}.nas .b,.nas .s0{stroke:var(--b)}
.nas .a,.nas .b{stroke-width:2.2}.nas .b{stroke-dasharray:6 4}
.nas .greydots{stroke:var(--grey)}
.nas .adots,.nas .bdots,.nas .greydots{stroke-width:5;stroke-linecap:round;
stroke-opacity:.6}
.nas .adots{stroke:var(--a)}.nas .bdots{stroke:var(--b);stroke-opacity:.45}
.nas .band{fill:var(--b);fill-opacity:.17}.nas .fail{stroke:var(--bad)}
.nas .aband{fill:var(--a);fill-opacity:.2}
.nas .s2{stroke:var(--grey)}
.nas .c0{stroke:#6e7781}.nas .band0{fill:#6e7781}
.nas .c1{stroke:#0969da}.nas .band1{fill:#0969da}
.nas .c2{stroke:#cf6012}.nas .band2{fill:#cf6012}
.nas .c3{stroke:#2a9d57}.nas .band3{fill:#2a9d57}
.nas .c4{stroke:#9a4fd0}.nas .band4{fill:#9a4fd0}
.nas .c5{stroke:#c43c77}.nas .band5{fill:#c43c77}
.nas .c6{stroke:#0f8a94}.nas .band6{fill:#0f8a94}
.nas .c7{stroke:#8a6d1f}.nas .band7{fill:#8a6d1f}
.nas .thin{fill-opacity:.13}.nas .later{stroke-dasharray:5 3}
.nas rect,.nas circle{stroke:var(--edge);fill:var(--box)}
.nas .conv{fill:var(--conv)}.nas .pool{fill:var(--pool)}
.nas .skip,.nas circle{fill:var(--page)}
.nas .none{fill:none;stroke-dasharray:3 3}.nas .unused{opacity:.55}
"""


def svg(width: float, height: float, parts: Iterable[str], title: str = '',
        top: float = 0.) -> str:
  """The whole picture; `top` is the smallest y."""
  title = f'<title>{html.escape(title)}</title>'
  return (f'<svg xmlns="http://www.w3.org/2000/svg" class="nas" role="img" '
          f'width="{width:.0f}" height="{height:.0f}" '
          f'viewBox="0 {top:.1f} {width:.1f} {height:.1f}">'
          f'{title}<style>{STYLE}</style>{"".join(parts)}</svg>')


def png(picture: str, zoom: float = 2.) -> bytes:
  """A picture as a PNG file, light, `zoom` pixels per unit.

  Args:
    picture: what `svg` returned.
    zoom: the scale.

  Raises:
    ValueError: resvg-py, which draws it, is not installed.
  """
  try:
    import resvg_py  # pylint: disable=g-import-not-at-top
  except ImportError as e:
    raise ValueError("PNG files need resvg-py: pip install 'nas_jax[png]', or "
                     'use the SVG files') from e
  font = ImageFont.load_default(12)  # It comes with Pillow.
  family, _ = font.getname()
  # Known to every renderer: no variables, no shorthand of fonts.
  style = re.sub(r'@media[^{]*{.*?}}', '', STYLE, flags=re.DOTALL)
  values = dict(re.findall(r'(--\w+):([^;}]+)', style))
  style = re.sub(r'--\w+:[^;}]+;', '', style)
  style = re.sub(r'var\((--\w+)\)', lambda found: values[found[1]], style)
  style = re.sub(r'font:12px [^}]*', f'font-size:12px;font-family:"{family}"',
                 style)
  picture = picture.replace(STYLE, style).replace('\u2212', '-')
  with tempfile.NamedTemporaryFile(suffix='.ttf') as file:
    file.write(font.font_bytes)
    file.flush()
    return bytes(resvg_py.svg_to_bytes(
        svg_string=picture, background='#ffffff', zoom=zoom,
        skip_system_fonts=True, font_files=[file.name]))


def tag(name: str, inside: str = '', cls: str = '', **attributes) -> str:
  """An element; numbers are rounded to a tenth."""
  found = f' class="{cls}"' if cls else ''
  for key, value in attributes.items():
    value = value if isinstance(value, str) else f'{round(float(value), 1):g}'
    found += f' {key.replace("_", "-")}="{value}"'
  return f'<{name}{found}>{inside}</{name}>'


def text(x: float, y: float, content: str, anchor: str = 'start',
         cls: str = 'ink', weight: int = 400) -> str:
  """One line; (x, y) is on its base line."""
  return tag('text', html.escape(content), x=x, y=y, text_anchor=anchor,
             cls=cls, font_weight=weight)


def marks(style: str, shape: str, x: npt.ArrayLike, y: npt.ArrayLike) -> str:
  """One path with the same shape at every point."""
  points = zip(np.asarray(x), np.broadcast_to(y, np.shape(x)))
  found = dict.fromkeys(f'M{a:.1f},{b:.1f}{shape}' for a, b in points)
  return tag('path', cls=style, d=''.join(found)) if found else ''


def box(x: float, y: float, width: float, height: float, rx: float = 8,
        cls: str = 'box') -> str:
  """A rounded rectangle; y is its middle."""
  return tag('rect', x=x, y=y - height / 2, width=width, height=height, rx=rx,
             cls=cls)


def edge(state: int, x0: float, y0: float, x1: float, y1: float,
         arrow: bool = False) -> str:
  """A curve from left to right in the colour of a state."""
  middle, head = (x0 + x1) / 2, 'm-6,-4l6,4l-6,4' if arrow else ''
  bend = f'{middle:.1f},{y0:.1f} {middle:.1f},{y1:.1f} {x1:.1f},{y1:.1f}'
  return tag('path', cls=f's{min(state, 2)}',
             d=f'M{x0:.1f},{y0:.1f}C{bend}{head}')


def state_name(x: float, y: float, index: str) -> str:
  """The letter c with a lower index."""
  lower = f'<tspan dy="4" font-size="11">{index}</tspan>'
  return tag('text', f'c{lower}', x=x, y=y, text_anchor='middle', font_size=14)
