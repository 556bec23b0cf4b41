"""Files that appear whole or not at all, and what identifies them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def shipped(name: str) -> Path | None:
    """Find a file that comes with the package, wherever this was installed from.

    Args:
        name: its path in the repository, below ``models`` or ``config``.
    """
    package = Path(__file__).resolve().parents[1]
    prefixes = filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep))
    # Of a wheel, of the sources, of colcon.
    folders = [package / "share", package.parent]
    folders += [Path(prefix, "share", package.name) for prefix in prefixes]
    return next((folder / name for folder in folders if (folder / name).is_file()), None)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name to write to; the file takes the place of `path` when the block ends well.

    After an error nothing of the attempt is left, and an earlier file is as before.

    Args:
        path: the final file; its folder exists.

    Yields:
        A name in the same folder that no other process uses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as stream:
        digest = hashlib.sha256()
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
