"""Built engines on disk: found only by the exact key they were built for, and only if whole."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from streampetr_ros.backends.base import BackendError
from streampetr_ros.core.files import replacing

_MAGIC = b"streampetr engine 1\n"
_LONGEST_HEADER = 4096


class EngineFileError(ValueError):
    """An engine file that must not be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKey:
    """Everything that an engine depends on.

    Attributes:
        graph: "encoder", "position" or "head".
        onnx_sha256: checksum of the graph it was built from.
        precision: "fp32" or "fp16".
        runtime: "tensorrt" or "tensorrt_rtx".
        version: of the runtime.
        compute_capability: of the GPU, such as "8.9".
    """

    graph: str
    onnx_sha256: str
    precision: str
    runtime: str
    version: str
    compute_capability: str

    @property
    def file_name(self) -> str:
        """Name of its file; graphs of other content have other names."""
        gpu = self.compute_capability.replace(".", "")
        return (
            f"{self.graph}-{self.precision}-{self.runtime}-{self.version}-sm{gpu}-"
            f"{self.onnx_sha256[:12]}.engine"
        )


def write_engine(folder: Path, key: EngineKey, engine: bytes) -> Path:
    """Write an engine; the file appears whole or not at all.

    Raises:
        BackendError: if the folder cannot be written.
    """
    header = asdict(key) | {"bytes": len(engine), "sha256": hashlib.sha256(engine).hexdigest()}
    path = folder / key.file_name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(_MAGIC + json.dumps(header).encode() + b"\n" + engine)
    except OSError as error:
        raise BackendError(
            f"cannot write engine '{path}' ({error.strerror}); copy the exported folder to a disk "
            "with room for it where you may write"
        ) from error
    return path


def read_engine(folder: Path, key: EngineKey) -> bytes | None:
    """Read the engine of a key; None if there is no file of its name.

    Raises:
        EngineFileError: if the file is damaged or holds an engine for something else.
    """
    path = folder / key.file_name
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EngineFileError(f"'{path}' cannot be read ({error.strerror})") from error
    header, engine = _split(path, content)
    expected: dict[str, object] = asdict(key)
    foreign = [name for name, value in expected.items() if header.get(name) != value]
    if foreign:
        raise EngineFileError(f"'{path}' was built for another {foreign[0].replace('_', ' ')}")
    if header.get("bytes") != len(engine):
        raise EngineFileError(f"'{path}' is truncated")
    if header.get("sha256") != hashlib.sha256(engine).hexdigest():
        raise EngineFileError(f"'{path}' is damaged")
    return engine


def _split(path: Path, content: bytes) -> tuple[dict[str, object], bytes]:
    head, newline, _ = content[len(_MAGIC) : len(_MAGIC) + _LONGEST_HEADER].partition(b"\n")
    if not content.startswith(_MAGIC) or not newline:
        raise EngineFileError(f"'{path}' is no engine file")
    try:
        header = json.loads(head)
    except ValueError as error:
        raise EngineFileError(f"'{path}' is damaged") from error
    if not isinstance(header, dict):
        raise EngineFileError(f"'{path}' is damaged")
    return header, content[len(_MAGIC) + len(head) + 1 :]
