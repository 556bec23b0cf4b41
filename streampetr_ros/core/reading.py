"""The one way to read a file that a user names: whole, plain and small, or refused in a sentence.

A name may lead to a device, a pipe without end or gigabytes; YAML and JSON may nest until Python
gives up, hold numbers of any length, and, in YAML, repeat themselves without end. None of that is a
setting.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.files import shipped

#: Sizes in bytes that no file of its kind needs: settings written by hand, descriptions of
#: recordings, and results of a whole data set.
SETTINGS, DESCRIPTION, RESULTS = 1 << 18, 1 << 26, 1 << 32

_DEEPEST = 32
_LARGEST_INTEGER = 1 << 63
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class FileError(UserError, ValueError):
    """A file that cannot be used; one sentence that names it, the reason and the remedy."""


def read_bytes(path: str | Path, what: str, most: int = SETTINGS) -> bytes:
    """Read a regular file.

    Args:
        path: of the file.
        what: the file in words, for the sentence.
        most: bytes.

    Raises:
        FileError: if it is missing, no regular file, larger, or cannot be read.
    """
    require_file(path, what, most)
    try:
        # Should it have become a pipe since, opening would wait for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as stream:
            _refuse(os.fstat(descriptor), path, what, most)
            content = stream.read(most + 1)
    except OSError as error:
        raise FileError(f"cannot read {what} '{path}': {error.strerror or error}") from error
    if len(content) > most:
        raise FileError(f"{what} '{path}' grows while it is read; give a file that is finished")
    return content


def require_file(path: str | Path, what: str, most: int | None = None) -> None:
    """Refuse what is no regular file, before a library that takes a name opens it.

    Raises:
        FileError: as `read_bytes` does.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"cannot read {what} '{path}': {reason}") from error
    _refuse(found, path, what, most)


def read_text(path: str | Path, what: str, most: int = SETTINGS) -> str:
    """Read a text file in UTF-8; otherwise like `read_bytes`."""
    try:
        return read_bytes(path, what, most).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(
            f"{what} '{path}' is not UTF-8 text ({error.reason} at byte {error.start}); save it "
            "as UTF-8"
        ) from error


def read_yaml(path: str | Path, what: str) -> Any:
    """Read settings in YAML: mappings, lists, text, numbers, booleans and nothing.

    A path below ``config`` that is not in the working folder is the file that comes with the
    package.

    Raises:
        FileError: as `read_bytes` does, and for text that is no YAML, nests deeply, uses aliases or
            tags, or names a key twice.
    """
    if Path(path).parts[:1] == ("config",) and not Path(path).exists():
        path = shipped(str(path)) or path
    return parse_yaml(read_text(path, what), f"{what} '{path}'")


def parse_yaml(text: str, where: str) -> Any:
    """Read settings in YAML from text; `where` names it in sentences. See `read_yaml`."""
    try:
        return _construct(yaml.parse(text, yaml.SafeLoader), text, where)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or error
        raise FileError(f"{where} is not valid YAML{line}: {reason}; correct it") from error
    except (ValueError, OverflowError, RecursionError) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(
            f"{where} holds a value that cannot be read: {error}; correct it"
        ) from error


def read_json(path: str | Path, what: str, most: int = DESCRIPTION) -> Any:
    """Read a file in JSON.

    Raises:
        FileError: as `read_bytes` does, and for text that is no JSON, nests deeply, or holds
            integers beyond 64 bits.
    """
    return parse_json(read_text(path, what, most), f"{what} '{path}'")


def parse_json(text: str, where: str) -> Any:
    """Read JSON from text; `where` names it in sentences. See `read_json`."""
    try:
        return json.loads(text, parse_int=_integer)
    except RecursionError as error:
        raise FileError(f"{where} nests far too deeply; write it again") from error
    except ValueError as error:
        raise FileError(f"{where} is not valid JSON ({error}); write it again") from error


def _refuse(found: os.stat_result, path: str | Path, what: str, most: int | None) -> None:
    for is_kind, name in _KINDS:
        if is_kind(found.st_mode):
            raise FileError(f"{what} '{path}' is {name}; give a file")
    if most is not None and found.st_size > most:
        raise FileError(
            f"{what} '{path}' has {found.st_size} bytes, more than the {most} that are read; give "
            "another file"
        )


def _integer(digits: str) -> int:
    number = int(digits) if len(digits) <= 20 else _LARGEST_INTEGER
    if not -_LARGEST_INTEGER <= number < _LARGEST_INTEGER:
        raise ValueError(f"number {digits[:9]}... has more than 64 bits")
    return number


class _PlainLoader(yaml.SafeLoader):
    """Leaves dates as they are written, and refuses keys that are named twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        known: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            is_word = not isinstance(key, (dict, list))
            if not is_word or key in known:
                said = f"it names '{key}' twice" if is_word else "a key is no word"
                raise yaml.constructor.ConstructorError(None, None, said, key_node.start_mark)
            known.add(key)
        return super().construct_mapping(node, deep)


_PlainLoader.yaml_implicit_resolvers = {
    start: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for start, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _construct(events: Iterator[yaml.Event], text: str, where: str) -> Any:
    """Build the values of a document whose events are harmless."""
    depth = 0
    for event in events:
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise FileError(
                f"{where} repeats a value by '*{event.anchor}' in line {line}; write it out"
            )
        if getattr(event, "tag", None) and not getattr(event, "implicit", None):
            raise FileError(f"{where} names a type in line {line}; write plain values")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise FileError(f"{where} nests more than {_DEEPEST} deep in line {line}; flatten it")
    loader = _PlainLoader(text)
    try:
        value = loader.get_single_data()
    finally:
        loader.dispose()
    _refuse_huge(value, where)
    return value


def _refuse_huge(value: Any, where: str) -> None:
    """Refuse integers that no number of a computer is as large as."""
    if isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            _refuse_huge(part, where)
    elif isinstance(value, int) and not -_LARGEST_INTEGER <= value < _LARGEST_INTEGER:
        raise FileError(f"{where} holds a number of more than 64 bits; write it as 1.0e+30")
