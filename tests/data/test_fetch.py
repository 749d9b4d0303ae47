"""Downloads, from a server of this machine: whole and known, or nothing."""

from __future__ import annotations

import hashlib
import io
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from glassgrad import data
from glassgrad.cli import main
from glassgrad.data import fetch
from glassgrad.errors import ConfigError, DataError, GlassgradError, UsageError

BODY = b"To be, or not to be" * 10_000


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server of this machine that answers each request so; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def sends(body: bytes, length: int | None = None) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        if length is None or length >= 0:
            request.send_header("Content-Length", str(len(body) if length is None else length))
        request.end_headers()
        try:
            request.wfile.write(body)
        except OSError:  # the reader has gone
            request.close_connection = True

    return answer


def redirects(to: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path == "/there.txt":
            sends(BODY)(request)
            return
        request.send_response(302)
        request.send_header("Location", to)
        request.end_headers()

    return answer


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let `tinyshakespeare` be one file at this address."""
    monkeypatch.setenv("no_proxy", "*")

    def put(url: str, body: bytes = BODY, members: tuple[str, ...] = ()) -> None:
        source = fetch.Source(url, hashlib.sha256(body).hexdigest(), len(body), members)
        monkeypatch.setitem(fetch.SOURCES, "tinyshakespeare", (source,))

    return put


def test_a_file_arrives_once_with_progress(tmp_path: Path, one: Any) -> None:
    asked = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        asked.append(request.path)
        sends(BODY)(request)

    seen: list[tuple[str, int, int]] = []
    with serving(answer) as address:
        one(f"{address}/input.txt")
        place = tmp_path
        for _ in range(2):
            place = data.download("tinyshakespeare", tmp_path, progress=lambda *p: seen.append(p))
    assert place == tmp_path / "tinyshakespeare"
    assert (place / "input.txt").read_bytes() == BODY
    assert [p.name for p in place.iterdir()] == ["input.txt"]
    assert asked == ["/input.txt"]
    assert seen[-1] == ("input.txt", len(BODY), len(BODY))
    assert [n for _, n, _ in seen] == sorted({n for _, n, _ in seen})


def _never(request: BaseHTTPRequestHandler) -> None:
    request.send_error(404)


def _garbage(request: BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"\x00\x01 no HTTP at all\r\n\r\n")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (sends(BODY[:-1] + b"!"), ("not the published file", "another sum")),
        (sends(BODY[:-5]), ("not the published file", "189,995 bytes, then the end")),
        (sends(BODY + b"!"), ("not the published file", "more than that")),
        (sends(BODY * 50, -1), ("not the published file", "more than that")),
        (sends(BODY[:-5], len(BODY)), ("189,995",)),
        (sends(b"<html>Please log in</html>"), ("not the published file", "a page of its own")),
        (_never, ("cannot be downloaded", "HTTP 404", "--data DIR")),
        (_garbage, ("cannot be downloaded",)),
        (redirects("file:///etc/passwd"), ("cannot be downloaded", "not allowed")),
        (redirects("ftp://127.0.0.1/x"), ("not HTTPS", "ftp://")),
        (redirects("http://example.com/x"), ("not HTTPS", "http://example.com/x")),
        (redirects("/input.txt"), ("cannot be downloaded",)),
    ],
)
def test_anything_else_leaves_nothing_behind(
    tmp_path: Path, one: Any, answer: Any, words: tuple[str, ...]
) -> None:
    with serving(answer) as address:
        one(f"{address}/input.txt")
        with pytest.raises(GlassgradError) as caught:
            data.download("tinyshakespeare", tmp_path)
    for word in words:
        assert word in str(caught.value), caught.value
    assert not list(tmp_path.iterdir())


def test_a_redirection_on_this_machine_is_followed(tmp_path: Path, one: Any) -> None:
    with serving(redirects("/there.txt")) as address:
        one(f"{address}/input.txt")
        place = data.download("tinyshakespeare", tmp_path)
    assert (place / "input.txt").read_bytes() == BODY


def test_without_network_it_says_so(tmp_path: Path, one: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]  # bound, not listening: refused
        one(f"http://127.0.0.1:{port}/input.txt")
        with pytest.raises(GlassgradError) as caught:
            data.download("tinyshakespeare", tmp_path)
    for word in ("cannot be downloaded", "refused", "is there a network?", "GLASSGRAD_DATA"):
        assert word in str(caught.value)
    assert caught.value.exit_code == 1
    assert not list(tmp_path.iterdir())


def test_only_https_is_asked_for(tmp_path: Path, one: Any) -> None:
    for url in ("http://example.com/a", "file:///etc/passwd", "ftp://127.0.0.1/a", "x/a"):
        one(url)
        with pytest.raises(GlassgradError, match="not HTTPS"):
            data.download("tinyshakespeare", tmp_path)
    for name, sources in fetch.SOURCES.items():
        for source in sources:
            assert name == "tinyshakespeare" or source.url.startswith("https://")
            assert len(source.sha256) == 64


def archive(**members: bytes | str) -> bytes:
    """A packed archive of files; a text is a link to that name."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, body in members.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            if isinstance(body, str):
                info.type, info.linkname = tarfile.SYMTYPE, body
                tar.addfile(info)
            else:
                info.size = len(body)
                tar.addfile(info, io.BytesIO(body))
    return out.getvalue()


def test_only_the_wanted_members_leave_an_archive(tmp_path: Path, one: Any) -> None:
    body = archive(a__one_bin=b"1", a__two_bin=b"2", **{"..__evil": b"!", "a__three_bin": b"3"})
    with serving(sends(body)) as address:
        one(f"{address}/all.tar.gz", body, ("a/one_bin", "a/two_bin"))
        place = data.download("tinyshakespeare", tmp_path)
    assert {p.name: p.read_bytes() for p in place.iterdir()} == {"one_bin": b"1", "two_bin": b"2"}
    assert not (tmp_path / "evil").exists()
    for wrong in (
        archive(a__one_bin=b"1", a__two_bin="/etc/passwd"),
        archive(x=b""),
        b"no archive",
    ):
        with serving(sends(wrong)) as address:
            one(f"{address}/all.tar.gz", wrong, ("a/three_bin", "a/two_bin"))
            with pytest.raises(GlassgradError, match="archive"):
                data.download("tinyshakespeare", tmp_path / "other")
        assert not list((tmp_path / "other").iterdir())


def test_the_cache_is_where_it_is_said_and_load_looks_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GLASSGRAD_DATA", raising=False)
    monkeypatch.setenv("GLASSGRAD_CACHE", str(tmp_path))
    assert fetch.cache() == tmp_path
    with pytest.raises(GlassgradError, match="glassgrad download cifar10"):
        data.load("cifar10")
    (tmp_path / "cifar10").mkdir()
    for name in ("data_batch_1.bin", "test_batch.bin"):
        (tmp_path / "cifar10" / name).write_bytes(bytes(3073))
    assert len(data.load("cifar10").x) == 1
    monkeypatch.delenv("GLASSGRAD_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert "glassgrad" in str(fetch.cache())


def test_the_command_downloads_and_says_where(
    tmp_path: Path, one: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(sends(BODY)) as address:
        one(f"{address}/input.txt")
        assert main(["download", "tinyshakespeare", "--data", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert str(tmp_path / "tinyshakespeare") in said.out
    assert "0.2 of 0.2 MB" in said.err
    assert main(["download", "imagenet"]) == 2
    assert "tinyshakespeare" in capsys.readouterr().err
    one("http://127.0.0.1:1/input.txt")
    assert main(["download", "tinyshakespeare", "--data", str(tmp_path / "b")]) == 1
    assert "is there a network?" in capsys.readouterr().err
    with pytest.raises(ConfigError):
        data.download("imagenet")
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be stored"):
        data.download("tinyshakespeare", tmp_path / "file")


def test_an_address_elsewhere_never_leads_to_this_machine() -> None:
    fetch._check_address("http://localhost:8000/a", "http://127.0.0.1/b")
    with pytest.raises(DataError, match="not HTTPS"):
        fetch._check_address("http://localhost:8000/a", "https://example.org/b")
