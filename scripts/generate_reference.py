"""Write docs/reference from the op records, the packages' exports and their docstrings.

    python scripts/generate_reference.py            # write
    python scripts/generate_reference.py --check    # say what is not fresh; exit code 1 if anything

The test tests/docs/test_reference.py fails when the committed pages are not what this writes, and
when a public name is on no page.
"""

from __future__ import annotations

import sys
from pathlib import Path

from reference.site import build_site

FOLDER = Path(__file__).parent.parent / "docs" / "reference"


def stale(files: dict[str, str], folder: Path = FOLDER) -> list[str]:
    """What is missing, different or left over in the folder, one line each."""
    there = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    found = [f"missing: {name}" for name in files if name not in there]
    found += [f"left over: {name}" for name in there if name not in files]
    found += [
        f"not fresh: {name}"
        for name, path in there.items()
        if name in files and path.read_bytes() != files[name].encode()
    ]
    return sorted(found)


def write(files: dict[str, str], folder: Path = FOLDER) -> None:
    """The folder as it should be."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder).as_posix() not in files:
            path.unlink()


def main(arguments: list[str]) -> int:
    """Write, or check."""
    site = build_site()
    if "--check" in arguments:
        found = stale(site.files)
        print("\n".join(found) or f"{FOLDER}: {len(site.files)} files, all fresh")
        return 1 if found else 0
    write(site.files)
    print(f"{FOLDER}: {len(site.pages)} pages, {len(site.where)} public names")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
