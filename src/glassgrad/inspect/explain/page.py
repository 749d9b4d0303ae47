"""An explanation as a page of its own: no script, no link to elsewhere, nothing from there.

Formulas are MathML, derivations plain text that can be copied; it follows the reader's light or
dark scheme, and its policy forbids whatever it does not need.
"""

from __future__ import annotations

import html
from collections.abc import Iterator

import numpy as np

from . import formulas
from .derivations import Derivation
from .maps import maps
from .story import Array, Entry, Section, Story
from .text import pieces, shape
from .words import number, visible

_MOST_CELLS = 120  # of an array that is shown as a table
_MOST_WIDE = 12
_TERM = 60  # signs of a term that stays in one line
_LONG = ("", ' class="long"')
_GUIDE = (
    '<p class="guide">Each card is one value: <span class="blue">what it is and how it came about</span>, '
    'and <span class="orange">the derivative of the loss in it and how that came from the values '
    "behind it</span>. Tables and pictures are blue above 0, orange below, and grey where nothing is below.</p>"
)
_STYLE = """
.gg-explain{--page:#fff;--ink:#1f2328;--soft:#5c646d;--line:#d8dee4;--card:#f6f8fa;--value:#0072b2;
--slope:#b34700;--up:0,114,178;--down:213,94,0;background:var(--page);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;padding:1rem}
@media (prefers-color-scheme:dark){.gg-explain{--page:#14171b;--ink:#e6e9ed;--soft:#9aa4af;
--line:#2f353d;--card:#1c2127;--value:#56b4e9;--slope:#ff9248;--up:86,180,233;--down:255,146,72}}
.gg-explain *{box-sizing:border-box}
.gg-explain h1{font-size:1.35rem;margin:.2rem 0 1rem}
.gg-explain h2{font-size:1.1rem;margin:0 0 .3rem}
.gg-explain h2 small,.gg-explain h3 small{font-weight:400;color:var(--soft)}
.gg-explain h3{font-size:.98rem;margin:0 0 .3rem}
.gg-explain section{border-top:2px solid var(--line);padding:1rem 0 .4rem}
.gg-explain code{font:13px/1.55 ui-monospace,'DejaVu Sans Mono',Consolas,monospace;
overflow-wrap:anywhere}
.gg-explain .rule{color:var(--soft);margin:.1rem 0;display:block}
.gg-explain article{background:var(--card);border:1px solid var(--line);border-radius:8px;
padding:.7rem .9rem;margin:.6rem 0}
.gg-explain .both{display:grid;grid-template-columns:1fr;gap:.8rem}
@media (min-width:56rem){.gg-explain .both{grid-template-columns:1fr 1fr}}
.gg-explain .both>div{min-width:0;border-left:3px solid var(--value);padding-left:.7rem}
.gg-explain .both>div.slope{border-color:var(--slope)}
.gg-explain .what{font-size:.82rem;color:var(--soft);margin:0 0 .2rem}
.gg-explain .made{margin:.45rem 0 0}
.gg-explain .made code{display:block;padding-left:1.6em;text-indent:-1.2em}
.gg-explain .made code:first-child{padding-left:0;text-indent:0;font-weight:600}
.gg-explain .made span{display:inline-block;max-width:100%;text-indent:0}
.gg-explain .made span.long{display:inline}
.gg-explain .rule{white-space:pre-wrap}
.gg-explain .made .result{font-weight:600}
.gg-explain math{font-size:1.08em}
.gg-explain .about,.gg-explain .guide{margin-block:.15rem}
.gg-explain .guide{color:var(--soft);font-size:.88rem;margin-block:.6rem}
.gg-explain .blue{color:var(--value);font-weight:600}
.gg-explain .orange{color:var(--slope);font-weight:600}
.gg-explain nav{display:flex;flex-wrap:wrap;gap:.35rem;margin-block:.8rem}
.gg-explain nav>*{background:var(--card);border:1px solid var(--line);border-radius:6px;
padding:.1rem .5rem;color:inherit;text-decoration:none;font-size:.85rem;max-width:100%;
overflow-wrap:anywhere}
.gg-explain nav a:hover,.gg-explain nav a:focus{border-color:var(--value)}
.gg-explain section{scroll-margin-top:.5rem}
.gg-explain .maps{display:flex;flex-wrap:wrap;gap:5px;align-items:end;margin:.35rem 0}
.gg-explain .maps svg{max-width:100%;border:1px solid var(--line)}
.gg-explain .maps .gg-f0{fill:rgb(var(--up))}
.gg-explain .maps .gg-f1{fill:rgb(var(--down))}
.gg-explain .maps .gg-ink{fill:var(--ink)}
.gg-explain .maps small{color:var(--soft)}
.gg-explain summary{cursor:pointer;color:var(--soft);font-size:.85rem}
.gg-explain .scroll{overflow-x:auto}
.gg-explain main>*{max-width:62rem;margin-left:auto;margin-right:auto}
.gg-explain main>.scroll{max-width:max-content}
.gg-explain table{border-collapse:collapse;margin:.2rem 0}
.gg-explain td{font:12px/1.3 ui-monospace,'DejaVu Sans Mono',Consolas,monospace;text-align:right;
padding:.12rem .38rem;border:1px solid var(--line);white-space:nowrap}
""" + "".join(
    f".gg-explain .{sign}{i}{{background:rgba(var(--{name}),{0.12 * i:.2f})}}"
    for sign, name in (("u", "up"), ("n", "down"))
    for i in range(1, 5)
)
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(told: Story, picture: str = "") -> str:
    """A whole document, with a list of its sections to go to."""
    title = escaped(told.heading)
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>body{{margin:0}}</style></head>\n"
        f"<body>{_told(told, picture, _ways(told))}</body></html>\n"
    )


def fragment(told: Story, picture: str = "") -> str:
    """The same for a place in another page, such as a notebook: its style touches nothing else."""
    return _told(told, picture, "")


def _told(told: Story, picture: str, ways: str) -> str:
    out = [f'<div class="gg-explain"><style>{_STYLE}</style><main>']
    about = "".join([f'<p class="about">{escaped(line)}</p>' for line in told.about])
    out.append(f"<h1>{escaped(told.heading)}</h1>{about}{_GUIDE}{ways}{picture}")
    for i, section in enumerate(told.sections):
        out += _section(section, told, f' id="s{i}"' if ways else "")
    if told.followed:
        lines = "".join(
            [f'<code class="rule">{escaped(f)}</code>' for f in told.followed.split("\n")]
        )
        place = ' id="followed"' if ways else ""
        out.append(f"<section{place}><h2>Followed to the loss</h2>{lines}</section>")
    return "\n".join([*out, "</main></div>"])


def _ways(told: Story) -> str:
    """The way of the data, section by section. A link is a number of ours: no name is in it."""
    each = [f'<a href="#s{i}">{escaped(_called(s))}</a>' for i, s in enumerate(told.sections)]
    each += ['<a href="#followed">followed to the loss</a>'] if told.followed else []
    return f"<nav>{''.join(each)}</nav>"


def _called(section: Section) -> str:
    return section.path or section.title


def escaped(text: str) -> str:
    """What a user wrote, as text of a page."""
    return html.escape(visible(text), quote=True)


def _section(section: Section, told: Story, place: str) -> Iterator[str]:
    called = _called(section)
    title = f" <small>{escaped(section.title)}</small>" if section.title != called else ""
    yield f"<section{place}><h2>{escaped(called)}{title}</h2>"
    for formula in section.formulas:
        yield f'<code class="rule">{escaped(formula)}</code>'
    for entry in section.entries:
        yield from _entry(entry, told)
    yield "</section>"


def _entry(entry: Entry, told: Story) -> Iterator[str]:
    formula = ""
    if entry.formula:
        formula = f" <small>{escaped(entry.op)}: {formulas.mathml(entry.formula)}</small>"
    sizes = f" <small>{escaped(shape(entry.shape).strip())}</small>" if entry.shape else ""
    yield f'<article><h3>{escaped(entry.name)}{sizes}{formula}</h3><div class="both">'
    what = {"data": "given", "parameter": "parameter"}.get(entry.kind, "value")
    yield f'<div><p class="what">{what}</p>'
    yield _array(_of_row(entry.array, entry, told), entry.array, entry.numbers)
    yield from (line for made in entry.forward for line in _derivation(made))
    yield "</div>"
    if entry.slopes is not None:
        also = f", the same as {entry.shared}" if entry.shared else ""
        words = escaped(f"derivative of the loss, d_{entry.name}{also}")
        yield f'<div class="slope"><p class="what">{words}</p>'
        yield _array(_of_row(entry.slopes, entry, told), entry.slopes, entry.gradient)
        yield from (line for made in entry.backward for line in _derivation(made))
        yield "</div>"
    yield "</div></article>"


def _of_row(array: Array, entry: Entry, told: Story) -> Array:
    """What is pictured of an array: where a row was chosen, its part."""
    if told.row is None or not entry.by_row:
        return array
    return array[told.row : told.row + 1]


def _array(pictured: Array, array: Array, words: str) -> str:
    """A table of a small array, shaded by size; of a larger one a picture, and where its numbers lie."""
    small = 1 < array.size <= _MOST_CELLS and 1 <= array.ndim <= 2
    if not small or array.shape[-1] > _MOST_WIDE:
        picture = maps(pictured) if array.size > _MOST_WIDE else ""
        return f"{picture}<code>{escaped(words)}</code>"
    top = float(np.nanmax(np.abs(np.where(np.isfinite(array), array, 0).astype(np.float64))))
    rows = []
    for row in array.reshape(-1, array.shape[-1]):
        cells = "".join([f"<td{_shade(float(v), top)}>{number(float(v), 4)}</td>" for v in row])
        rows.append(f"<tr>{cells}</tr>")
    return f'<div class="scroll"><table><tbody>{"".join(rows)}</tbody></table></div>'


def _shade(value: float, top: float) -> str:
    """Blue above 0, orange below, in four strengths; the number itself is there to be read."""
    strength = min(4, int(abs(value) / top * 4.999)) if top and np.isfinite(value) else 0
    return f' class="{"u" if value > 0 else "n"}{strength}"' if strength else ""


def _derivation(made: Derivation) -> Iterator[str]:
    yield f'<div class="made"><code>{escaped(made.of)}</code>'
    if made.expression is not None:
        for each in pieces(made, made.expression):
            spans = " ".join([f"<span{_LONG[len(p) > _TERM]}>{escaped(p)}</span>" for p in each])
            yield f"<code>= {spans}</code>"
    yield f'<code class="result">= {escaped(made.result + made.many)}</code></div>'
    if made.steps:
        yield f"<details{' open' if len(made.steps) <= 3 else ''}><summary>steps</summary>"
        for step in made.steps:
            yield from _derivation(step)
        yield "</details>"
