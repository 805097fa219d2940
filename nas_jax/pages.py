"""The parts that pages are made of: style, tables, figures; tables of text."""

from collections.abc import Sequence
import html
from typing import Any

_STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--dim:#636c76;--line:#d8dee4;
--page:#fff;--soft:#f6f8fa}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e6edf3;--dim:#9aa4af;
--line:#30363d;--page:#0d1117;--soft:#161b22}}
body{margin:0 auto;padding:24px 20px 60px;max-width:920px;color:var(--ink);
background:var(--page);font:15px/1.5 system-ui,"Segoe UI",sans-serif}
h1{font-size:26px;margin:0}h2{font-size:19px;margin:36px 0 8px}
h3{font-size:15px;margin:18px 0 4px}p{margin:8px 0}
.dim,figcaption{color:var(--dim)}figcaption{font-size:13px}
figure,.wide{margin:8px 0;overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:4px 14px 4px 0;border-bottom:1px solid var(--line);
text-align:left;vertical-align:top}
th{font-weight:600;vertical-align:bottom}.n{text-align:right}
td.n,tr>:first-child{white-space:nowrap}
pre,code{font:12.5px/1.45 ui-monospace,monospace}
pre{background:var(--soft);padding:10px;border-radius:6px;white-space:pre-wrap;
overflow-wrap:anywhere}
td code{display:block;max-height:5.9em;overflow:auto;overflow-wrap:anywhere}
.above td{border-bottom:0;padding-bottom:0}
.verdict{border-left:4px solid var(--line);padding-left:12px}
summary{cursor:pointer;font-weight:600;margin:14px 0 6px}
figure svg{max-width:100%;height:auto}
@media print{body{max-width:none;padding:0}
h2,h3{break-after:avoid}
td code{max-height:none}figure,tr{break-inside:avoid}
.wide,figure{overflow:visible}}
"""

_LONG = 60  # Characters of code that do not fit beside numbers.


def page(title: str, body: Sequence[str]) -> str:
  """An HTML page of its own; `body` is HTML, the title is text."""
  return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
          '<meta name="viewport" content="width=device-width">'
          f'<title>{escape(title)}</title><style>{_STYLE}</style></head>'
          f'<body>{"".join(body)}</body></html>\n')


def table(rows: Sequence[Sequence[Any]]) -> str:
  """Rows of values as aligned text; the first row is the header.

  A column of numbers stands to the right; None is a dash.
  """
  cells = [['-' if c is None else str(c) for c in row] for row in rows]
  if len({len(row) for row in cells}) > 1:
    raise ValueError(f'rows have {sorted({len(r) for r in cells})} columns')
  columns = []
  for column in zip(*cells):
    width = max(map(len, column))
    number = all(c in '-–' or c.lstrip('+-.')[:1].isdigit()
                 for c in column[1:])
    columns.append([c.rjust(width) if number else c.ljust(width)
                    for c in column])
  return '\n'.join('  '.join(row).rstrip() for row in zip(*columns))


def html_table(rows: Sequence[Sequence[str]]) -> str:
  """An HTML table; the first row is the header.

  Code in the last column stands below its row, over the whole width, where it
  is long.
  """
  below = any(isinstance(row[-1], Code) and len(row[-1]) > _LONG
              for row in rows)
  numbers = [all(c[:1].isdigit() or c[:1] in '-–' for c in column[1:])
             for column in zip(*rows)]
  lines = []
  for i, row in enumerate(rows):
    tag = 'td' if i else 'th'
    cells = row[:-1] if below else row
    kind = ' class="above"' if below and i else ''
    lines.append(f'<tr{kind}>' + ''.join(
        f'<{tag}{" class=n" if number else ""}>{_cell(c)}</{tag}>'
        for c, number in zip(cells, numbers)) + '</tr>')
    if kind:
      lines.append(f'<tr><td></td><td colspan="{len(cells) - 1}">'
                   f'{_cell(row[-1])}</td></tr>')
  return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def figure(svg: str, caption: str = '') -> str:
  """A picture with an optional line of text below it."""
  caption = f'<figcaption>{escape(caption)}</figcaption>' if caption else ''
  return f'<figure>{svg}</figure>{caption}'


def escape(text: str) -> str:
  """Text as it stands in HTML."""
  return html.escape(str(text))


class Code(str):
  """A cell of a table that is code."""


def _cell(content: str) -> str:
  text = escape(content)
  return f'<code>{text}</code>' if isinstance(content, Code) else text
