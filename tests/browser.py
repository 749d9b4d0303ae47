"""Documents as Chromium takes them: what it makes of their text, where it puts it, what it asks for.

They are served on this machine's loopback, so that whatever acts in them leaves a trace: `asked` has
each path that was asked for.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--virtual-time-budget=4000", "--dump-dom",
)  # fmt: skip
_KINDS = {".html": "text/html; charset=utf-8", ".svg": "image/svg+xml; charset=utf-8"}
RAN = "/ran"  # what a name asks for where it is more than text
ACTING = (  # short, since pictures cut names
    f"<img src={RAN}>",
    f"<script>fetch('{RAN}')</script>",
    f"<svg onload=fetch('{RAN}')>",
    f"<script src={RAN}>",
    f"</text><image href='{RAN}'/>",
    f"</style><img src={RAN}>",
    f"]]><img src={RAN}>",
    f"--><img src={RAN}>",
    f"}}*{{background:url({RAN})}}",
    f"\"onload=\"fetch('{RAN}')",
    f"'onload='fetch(\"{RAN}\")",
    f"&lt;img src={RAN}&gt;",
    f"&#60;img src={RAN}&#62;",
    f"@import '{RAN}';",
    f"javascript:fetch('{RAN}')",
    "</title><script>alert(1)</script>",
)
WATCH = (  # stands first in a page: a dialog asks for something, too
    "<script>alert = confirm = prompt = print = () => fetch('/dialog')</script>"
)


@dataclass(frozen=True)
class Seen:
    """The document's tree after it was loaded, and the paths that were asked for, in order."""

    dom: str
    asked: tuple[str, ...]


def chromium() -> str:
    """The browser; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        pytest.skip("no Chromium is installed")
    return found


def opened(documents: Mapping[str, str], folder: Path) -> Seen:
    """Load the first of these documents, by path, with the others beside it."""
    browser = chromium()
    with _served({path: text.encode() for path, text in documents.items()}) as (root, asked):
        done = subprocess.run(
            [browser, *_FLAGS, f"--user-data-dir={folder / 'profile'}", root + next(iter(documents))],
            capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
    # The icon of a site is asked for by the browser of its own accord.
    return Seen(done.stdout, tuple(path for path in asked if path != "/favicon.ico"))


@contextmanager
def _served(documents: Mapping[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            content = documents.get(self.path)
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Type", _KINDS.get(Path(self.path).suffix, "text/plain"))
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
