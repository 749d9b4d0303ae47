"""Public data sets, fetched into a folder of their own, only when asked for.

Each file has a known SHA-256: what arrives is compared with it before it gets its name, so that a
file that is there is whole and the published one. HTTPS only, also after redirections; plain HTTP
for this machine itself alone. The standard library's `urllib` does it: a kept library (pooch) would
bring requests, packaging and platformdirs to a plain install that needs NumPy, safetensors, click
and rich, and what would be left to write here is almost as long.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from glassgrad.errors import DataError, FormatError, UsageError, told, unknown_name

__all__ = ["download"]

Progress = Callable[[str, int, int], None]
_CHUNK = 1 << 16
_SECONDS = 30  # without a byte


@dataclass(frozen=True, slots=True)
class Source:
    """A file to fetch: where it is, its SHA-256 and size; what is taken out of it if an archive."""

    url: str
    sha256: str
    size: int  # no more is read
    members: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.url.rsplit("/", 1)[1]


_MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist/"
_FASHION = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"

# How each sum is known. tinyshakespeare: computed from the file itself. cifar10: as several
# independent projects publish it, one of which lists the archive's members, and data_batch_1.bin,
# which we have, has the sum listed there. mnist and fashion-mnist: as several independent projects
# publish them; we have not held these very files.
SOURCES: dict[str, tuple[Source, ...]] = {
    "mnist": (
        Source(f"{_MNIST}train-images-idx3-ubyte.gz", "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609", 9_912_422),
        Source(f"{_MNIST}train-labels-idx1-ubyte.gz", "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c", 28_881),
        Source(f"{_MNIST}t10k-images-idx3-ubyte.gz", "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6", 1_648_877),
        Source(f"{_MNIST}t10k-labels-idx1-ubyte.gz", "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6", 4_542),
    ),
    "fashion-mnist": (
        Source(f"{_FASHION}train-images-idx3-ubyte.gz", "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84", 26_421_880),
        Source(f"{_FASHION}train-labels-idx1-ubyte.gz", "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845", 29_515),
        Source(f"{_FASHION}t10k-images-idx3-ubyte.gz", "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073", 4_422_102),
        Source(f"{_FASHION}t10k-labels-idx1-ubyte.gz", "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5", 5_148),
    ),
    "cifar10": (
        Source(
            "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", 170_052_171,
            (*[f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)], "cifar-10-batches-bin/test_batch.bin"),
        ),
    ),
    "tinyshakespeare": (
        Source("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt", "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed", 1_115_394),
    ),
}  # fmt: skip
_LARGEST_MEMBER = 2**26


def cache() -> Path:
    """Where data sets are kept: GLASSGRAD_CACHE, or `glassgrad` in the user's folder for caches."""
    named = os.environ.get("GLASSGRAD_CACHE")
    if named:
        return Path(named)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData/Local") / "glassgrad"
    if sys.platform == "darwin":
        return Path.home() / "Library/Caches/glassgrad"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "glassgrad"


def download(
    name: str, folder: str | os.PathLike[str] | None = None, *, progress: Progress | None = None
) -> Path:
    """Fetch a public data set into a cache, unless it is there already, and say where it is.

    A file has its name only when all of it arrived and its SHA-256 is the known one; an
    interrupted download leaves nothing behind.

    Parameters
    ----------
    name : str
        mnist, fashion-mnist, cifar10 or tinyshakespeare.
    folder : path, optional
        Where the set's own folder is made; by default GLASSGRAD_CACHE or the user's folder for
        caches, where `load` looks, too.
    progress : function, optional
        Called with (file, bytes so far, bytes in all) as they arrive.

    Returns
    -------
    Path
        The set's folder.

    Raises
    ------
    ConfigError
        No set has this name.
    DataError
        There is no network, or the server refuses; the set is as it was before.
    FormatError
        What arrived is too long, cut short, or not the published file.
    UsageError
        The folder cannot be written to.

    Source: the addresses and sums in `SOURCES`.

    Examples
    --------
    >>> download("imagenet")
    Traceback (most recent call last):
        ...
    glassgrad.errors.ConfigError: unknown data set to download
      expected: one of mnist, fashion-mnist, cifar10, tinyshakespeare
      received: 'imagenet'
    """
    if name not in SOURCES:
        raise unknown_name("data set to download", name, tuple(SOURCES))
    place = (cache() if folder is None else Path(folder)) / name
    try:
        place.mkdir(parents=True, exist_ok=True)
        for source in SOURCES[name]:
            _fetch(source, place, progress or (lambda *_: None))
    except OSError as error:
        failure = UsageError(
            "a data set cannot be stored",
            where=told(place),
            expected="a folder that may be written to, with room for the files",
            received=error.strerror or str(error),
            hint="GLASSGRAD_CACHE names another folder",
        )
        failure.exit_code = 1  # the system's doing, not the caller's
        raise failure from error
    finally:
        with suppress(OSError):
            place.rmdir()  # only an empty one goes
    return place


def _fetch(source: Source, place: Path, progress: Progress) -> None:
    """One file, or the members of one archive, put where they belong."""
    wanted = [Path(m).name for m in source.members] or [source.name]
    if all((place / name).is_file() for name in wanted):
        return
    beside = place / f".{source.name[:80]}.{os.getpid()}.{secrets.token_hex(4)}.part"
    try:
        with beside.open("xb") as stream:
            _receive(source, stream, progress)
            stream.flush()
            os.fsync(stream.fileno())
        if source.members:
            _unpack(source, beside, place)
        else:
            beside.replace(place / source.name)
    finally:
        beside.unlink(missing_ok=True)


def _receive(source: Source, stream: IO[bytes], progress: Progress) -> None:
    """All bytes of an address, counted and compared with the known sum."""
    from http.client import HTTPException  # 10 ms that `import glassgrad` need not pay
    from urllib.error import HTTPError

    digest, count = hashlib.sha256(), 0
    try:
        with _opened(source.url) as answer:
            while piece := answer.read(min(_CHUNK, source.size + 1 - count)):
                count += len(piece)
                if count > source.size:
                    raise _wrong(source, "more than that")
                digest.update(piece)
                stream.write(piece)
                progress(source.name, count, source.size)
    except (OSError, ValueError, HTTPException) as error:
        if isinstance(error, FormatError | DataError) or _is_ours(error):
            raise
        if isinstance(error, HTTPError):
            error.close()
        raise _unreachable(source, _reason(error)) from error
    if count < source.size:
        raise _wrong(source, f"{count:,} bytes, then the end")
    if digest.hexdigest() != source.sha256:
        raise _wrong(source, f"{count:,} bytes with another sum, {digest.hexdigest()[:16]}...")


def _opened(url: str) -> Any:
    """An open answer; whatever leads away from HTTPS is refused, redirections too."""
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class Redirections(HTTPRedirectHandler):
        def redirect_request(self, *given: Any) -> Request | None:
            try:
                _check_address(given[-1], given[0].full_url)
            except DataError:
                given[1].close()
                raise
            return super().redirect_request(*given)

    _check_address(url)
    request = Request(url, headers={"User-Agent": "glassgrad"})  # noqa: S310  checked above
    return build_opener(Redirections).open(request, timeout=_SECONDS)


def _check_address(url: str, before: str = "") -> None:
    """HTTPS; or HTTP to this machine, unless an address elsewhere leads there."""
    parts = urlsplit(url)
    own = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    own = own and not before.startswith("https:")
    if parts.scheme != "https" and not own:
        raise DataError(
            "a download leads to an address that is not HTTPS",
            where=told(url),
            expected="https://",
            received=f"{parts.scheme}://",
        )


def _is_ours(error: Exception) -> bool:
    """Whether writing failed rather than the network: then it is the folder's business."""
    return isinstance(error, OSError) and error.errno in (28, 122, 30, 5)  # full, quota, read-only


def _unpack(source: Source, archive: Path, place: Path) -> None:
    """The wanted members, by name, as plain files; nothing else of the archive is looked at."""
    import tarfile

    try:
        with tarfile.open(archive, "r:gz") as tar:
            found = {m.name: m for m in tar if m.name in source.members}
            for name in source.members:
                member = found.get(name)
                if member is None or not member.isreg() or member.size > _LARGEST_MEMBER:
                    raise _wrong(source, f"an archive without {name}")
                body = tar.extractfile(member)
                assert body is not None
                beside = place / f".{Path(name).name}.{secrets.token_hex(4)}.part"
                try:
                    beside.write_bytes(body.read())
                    beside.replace(place / Path(name).name)
                finally:
                    beside.unlink(missing_ok=True)
    except (tarfile.TarError, EOFError) as error:
        raise _wrong(source, f"no archive: {error}") from error


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", None)
    code = getattr(error, "code", None)
    if code is not None:
        return f"HTTP {code} {inner}"
    text = getattr(inner, "strerror", None) or getattr(error, "strerror", None) or inner or error
    return told(text)


def _unreachable(source: Source, reason: str) -> DataError:
    failure = DataError(
        f"{source.name} cannot be downloaded",
        where=source.url,
        expected="an answer from the server",
        received=reason,
        hint="is there a network? files fetched in another way can be named: --data DIR, or GLASSGRAD_DATA",
    )
    failure.exit_code = 1
    return failure


def _wrong(source: Source, received: str) -> FormatError:
    failure = FormatError(
        "what was downloaded is not the published file, and was thrown away",
        where=source.url,
        expected=f"{source.size:,} bytes with SHA-256 {source.sha256[:16]}...",
        received=received,
        hint="try again later; the server may have sent a page of its own",
    )
    failure.exit_code = 1
    return failure
