"""The reference is what its script writes, leaves nothing public out, and its links lead somewhere."""

from __future__ import annotations

import ast
import inspect
import re
import types
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import glassgrad as gg
from generate_functions import name_of
from generate_reference import stale, write
from glassgrad import nn, optim
from glassgrad.errors import InternalError
from glassgrad.nn import losses
from glassgrad.ops import OPS
from reference.entries import Writer
from reference.site import Site, build_site

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
PAGES = sorted(FOLDER.glob("*.md"))
HAND = [p for p in sorted((ROOT / "docs").rglob("*.md")) if FOLDER not in p.parents]


@pytest.fixture(scope="module")
def site() -> Site:
    return build_site()


# -- freshness ---------------------------------------------------------------------------------


def test_the_committed_pages_are_what_the_script_writes(site: Site) -> None:
    assert stale(site.files) == []


def test_writing_twice_gives_the_same_bytes(site: Site) -> None:
    assert build_site().files == site.files


def test_a_page_that_differs_is_missing_or_is_left_over_is_said(tmp_path: Path) -> None:
    write({"a.md": "a", "b.md": "b", "pictures/c.svg": "c"}, tmp_path)
    assert stale({"a.md": "a", "b.md": "b", "pictures/c.svg": "c"}, tmp_path) == []
    changed = {"a.md": "A", "b.md": "b", "d.md": "d"}
    assert stale(changed, tmp_path) == [
        "left over: pictures/c.svg", "missing: d.md", "not fresh: a.md",
    ]  # fmt: skip
    write(changed, tmp_path)
    assert stale(changed, tmp_path) == []


# -- completeness ------------------------------------------------------------------------------


def exported(module: types.ModuleType) -> set[str]:
    """Public names, found in other ways than the script's: what is there, and from where."""
    there = {n: v for n, v in vars(module).items() if not n.startswith("_")}
    there |= {n: getattr(module, n) for n in getattr(module, "__all__", ()) if n[0] != "_"}
    passed_on = re.findall(r"\b(\w+) as \1\b", inspect.getsource(module))
    own = [
        n
        for n, v in there.items()
        if getattr(v, "__module__", "") == module.__name__ or n.isupper()
    ]
    listed = getattr(module, "__all__", None)
    names = set(passed_on) | set(own) if listed is None else set(listed)
    return {n for n in names if n in there and not isinstance(there[n], types.ModuleType)}


@pytest.mark.parametrize(
    ("prefix", "module"), [("gg", gg), ("nn", nn), ("optim", optim), ("nn.losses", losses)]
)
def test_every_public_name_is_explained_in_exactly_one_place(
    prefix: str, module: types.ModuleType
) -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    part = index.split(f"\n### {prefix}\n")[1].split("\n### ")[0]
    found = Counter(re.findall(r"\[`(\w+)`\]\([\w.#-]+\)", part))
    assert set(found) == exported(module)
    assert set(found.values()) == {1}


def test_every_op_has_a_heading_on_its_familys_page_with_formula_and_program() -> None:
    for op in OPS.values():
        page = (FOLDER / f"ops-{op.family}.md").read_text(encoding="utf-8")
        entries = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
        entry = entries[name_of(op)]
        assert "$`\\displaystyle " in entry
        if op.samples:
            assert f"def {op.name}(" in entry
            real = op.vjp is not None and any(op.vjp)
            said = ("# -- backward", "it is `d_", "It has no derivative")
            assert any(words in entry for words in said[: 2 if real else 3])
        for mistake in op.errors:
            assert str(mistake.types[0]) in entry


def test_every_activation_has_its_picture_and_every_picture_is_shown() -> None:
    page = (FOLDER / "layers-activations.md").read_text(encoding="utf-8")
    for name in re.findall(r"^## (\w+)$", page, re.MULTILINE):
        assert f"(pictures/{name.lower()}.svg)" in page
    shown = {t for p in PAGES for t in re.findall(r"\((pictures/[^)]+)\)", p.read_text())}
    there = {p.relative_to(FOLDER).as_posix() for p in (FOLDER / "pictures").iterdir()}
    assert shown == there


@pytest.mark.parametrize("missing", ["sentence", "example", "formula"])
def test_a_layer_with_a_hole_is_refused(missing: str) -> None:
    class Cubed(nn.Module):
        formula = ("y = x^3", "dx = 3 * x^2 * dy")

        def forward(self, x: Any) -> Any:
            return x * x * x

    example = ">>> Cubed()\nCubed()"
    Cubed.__doc__ = {
        "sentence": example,
        "example": "The cube.",
        "formula": f"The cube.\n\n{example}",
    }[missing]
    if missing == "formula":
        Cubed.formula = ("", "")
    writer = Writer({id(Cubed): ("nn.Cubed",)})
    with pytest.raises(InternalError, match="the reference has nothing to say"):
        writer.layer(Cubed)


# -- the pages as text -------------------------------------------------------------------------


def test_programs_on_the_pages_are_python(site: Site) -> None:
    for name, text in site.files.items():
        for block in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            tree = (
                ast.parse(re.sub(r"^nn\.|^gg\.|^optim\.", "", block)) if "def " in block else None
            )
            assert tree is None or tree.body, name


@pytest.mark.parametrize("page", [*PAGES, *HAND], ids=lambda p: p.relative_to(ROOT).as_posix())
def test_relative_links_lead_to_a_file_and_a_heading_that_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        other = (page.parent / file).resolve() if file else page
        assert other.exists(), target
        if anchor:
            assert anchor in anchors(other), target


def without_code(page: Path) -> str:
    text = page.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: list[str] = []
    for heading in re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE):
        kept = [c for c in heading.lower() if c in "-_ " or unicodedata.category(c)[0] in "LN"]
        slug = "".join(kept).replace(" ", "-")
        again = sum(
            a == slug or re.fullmatch(rf"{re.escape(slug)}-\d+", a) is not None for a in found
        )
        found.append(f"{slug}-{again}" if again else slug)
    return set(found)


@pytest.mark.parametrize(
    "path", [*PAGES, *sorted((FOLDER / "pictures").iterdir())], ids=lambda p: str(p.name)
)
def test_a_page_is_clean_text(path: Path) -> None:
    data = path.read_bytes()
    text = data.decode()
    assert not [c for c in text if c != "\n" and unicodedata.category(c).startswith("C")]
    assert text.endswith("\n")
    assert " at 0x" not in text  # an object's address would differ from run to run
    assert str(ROOT) not in text
    assert path.suffix != ".svg" or len(data) < 5000


def test_formulas_use_no_word_that_github_refuses() -> None:
    for page in PAGES:
        assert "\\operatorname" not in page.read_text(encoding="utf-8"), page.name
