"""Build the native executor beside its Python package, so that `PYTHONPATH=src` finds it.

    python scripts/build_native.py            # again after a change: compiles only what changed
    python scripts/build_native.py --tests    # the drivers in native/tests too, and runs them
    python scripts/build_native.py --sanitize address,undefined   # only the drivers, and runs them

Needs CMake, Ninja, a C++20 compiler and `pip install nanobind`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "glassgrad" / "backends" / "native"


def main() -> None:
    """Configure once, build, put the module in its place, run the drivers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tests", action="store_true", help="build and run the drivers")
    parser.add_argument("--sanitize", default="", metavar="LIST", help="build them with sanitizers")
    parser.add_argument("--build", type=Path, help="build folder (default build/native...)")
    parser.add_argument(
        "--only", default=".*", metavar="PATTERN", help="which drivers, all if not said"
    )
    options = parser.parse_args()
    kind = options.sanitize.replace(",", "-")
    folder = options.build or ROOT / "build" / ("native-" + kind if kind else "native")
    folder = folder.resolve()
    module = not options.sanitize
    configure = [
        "cmake", "-S", ROOT / "native", "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        f"-DPython_EXECUTABLE={sys.executable}", f"-DGG_MODULE={'ON' if module else 'OFF'}",
        f"-DGG_TESTS={'ON' if options.tests or kind else 'OFF'}", f"-DGG_SANITIZE={options.sanitize}",
    ]  # fmt: skip
    subprocess.run([str(part) for part in configure], check=True, stdout=subprocess.DEVNULL)
    found = sorted(file.stem for file in (ROOT / "native" / "tests").glob("*.cpp"))
    drivers = [name for name in found if re.search(options.only, name)]
    wanted = ["_native"] * module + drivers * (options.tests or bool(kind))
    subprocess.run(["cmake", "--build", str(folder), "--target", *wanted], check=True)
    if module:
        for built in folder.glob("_native*.so"):
            beside = PACKAGE / f".{built.name}.new"
            shutil.copy2(built, beside)
            beside.replace(PACKAGE / built.name)  # a process that runs keeps the old one
    if options.tests or kind:
        command = ["ctest", "--test-dir", str(folder), "--output-on-failure", "-R", options.only]
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
