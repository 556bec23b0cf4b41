"""The rooms of the package: what may import what, and how many files a room holds."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable

from repository import PACKAGE, imports, modules

_STAGES = ("ingest", "model", "preprocess", "track")
_RUN_TIME = ("core", *_STAGES, "backends", "pipeline", "nuscenes", "parameters", "viz", "messages")

#: Room -> rooms it may import beside itself. No room can be reached from itself.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "core": (),
    "ingest": ("core",),
    "model": ("core",),
    "track": ("core",),
    "preprocess": ("core", "ingest", "model"),
    "backends": ("core", "model"),
    "pipeline": ("core", *_STAGES, "backends"),
    "viz": ("core", "preprocess"),
    "messages": ("core", "ingest", "parameters", "preprocess", "viz"),
    "nuscenes": ("core",),
    "parameters": ("core", *_STAGES, "backends", "pipeline", "nuscenes"),
    "synth": ("core", "nuscenes"),
    "sources": (*_RUN_TIME, "synth"),
    "export": ("core", "model", "backends"),
    "training": (*_RUN_TIME, "synth", "sources"),
    "evaluation": (*_RUN_TIME, "synth", "sources", "training"),
    "tools": (*_RUN_TIME, "synth", "sources", "training", "evaluation", "export"),
    "ros": (*_RUN_TIME, "sources", "msg"),
    "": ("tools",),
}

#: Of these rooms the modules that others take: everybody may know their data, not their work.
ONLY_DATA = {
    ("preprocess", "model"): ("model.config", "model.state"),
    ("preprocess", "ingest"): ("ingest.lens",),
    ("pipeline", "model"): ("model.config", "model.state"),
    ("pipeline", "backends"): ("backends.base",),
}

#: Packages from outside that a room may use; rooms that are not listed may use any declared one.
MAY_USE: dict[str, set[str]] = {
    "core": {"numpy", "torch", "transforms3d", "yaml", "threadpoolctl"},
    "ingest": {"numpy", "PIL", "cv2", "simplejpeg", "transforms3d"},
    "preprocess": {"numpy", "PIL", "cv2", "torch"},
    "track": {"numpy", "scipy"},
    "model": {"numpy", "torch", "safetensors"},
    "backends": {"numpy", "torch", "onnx", "onnxruntime", "tensorrt"},
    "pipeline": {"numpy", "torch"},
}

ROS_NAMES = {"rclpy", "tf2_ros", "tf2_py", "cv_bridge", "message_filters", "ament_index_python"}

#: Python files in one folder, at the most, ``__init__.py`` not counted.
MOST_FILES = 13


def room_of(module: str) -> str:
    """Return the room of a module of the package, "" for the front door."""
    room = module.split(".", maxsplit=1)[0]
    return "" if room == "__main__" else room


def is_ros(package: str) -> bool:
    return package in ROS_NAMES or package.endswith(("_msgs", "_srvs", "_interfaces"))


def findings(check: Callable[[str, set[str]], set[str]]) -> list[str]:
    """Return what a rule finds in the imports of every module."""
    found = []
    for module, path in modules().items():
        if module:
            found += [f"{module}: {wrong}" for wrong in sorted(check(module, set(imports(path))))]
    return found


def test_rooms_import_only_what_they_may() -> None:
    def forbidden(module: str, names: set[str]) -> set[str]:
        room = room_of(module)
        allowed = {room, *MAY_IMPORT[room]}
        own = {n.removeprefix(f"{PACKAGE}.") for n in names if n.startswith(f"{PACKAGE}.")}
        return {name for name in own if room_of(name) not in allowed}

    assert {room_of(module) for module in modules() if module} == set(MAY_IMPORT)
    assert not findings(forbidden)


def test_some_rooms_show_others_only_their_data() -> None:
    def forbidden(module: str, names: set[str]) -> set[str]:
        own = {n.removeprefix(f"{PACKAGE}.") for n in names if n.startswith(f"{PACKAGE}.")}
        return {
            name
            for name in own
            if name not in ONLY_DATA.get((room_of(module), room_of(name)), (name,))
        }

    assert not findings(forbidden)


def test_no_room_is_reached_from_itself() -> None:
    def reached(room: str) -> set[str]:
        rooms = set(MAY_IMPORT.get(room, ()))
        return rooms.union(*(reached(each) for each in rooms))

    assert [room for room in MAY_IMPORT if room in reached(room)] == []


def test_folders_beside_each_other_form_no_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for module, path in modules().items():
        folder = _folder(module)
        for name in imports(path):
            other = _folder(name.removeprefix(f"{PACKAGE}."))
            beside = folder.rpartition(".")[0] == other.rpartition(".")[0]
            if name.startswith(f"{PACKAGE}.") and folder != other and beside:
                arrows.setdefault(folder, set()).add(other)

    def reached(folder: str, seen: frozenset[str] = frozenset()) -> set[str]:
        further = arrows.get(folder, set()) - seen
        return further.union(*(reached(each, seen | further) for each in further))

    assert [folder for folder in arrows if folder in reached(folder)] == []


def test_only_ros_needs_ros_and_rooms_use_what_they_may() -> None:
    def forbidden(module: str, names: set[str]) -> set[str]:
        outside = {name.split(".")[0] for name in names} - {PACKAGE, *sys.stdlib_module_names}
        room = room_of(module)
        wrong = set() if room == "ros" else {name for name in outside if is_ros(name)}
        return wrong | (outside - MAY_USE.get(room, outside))

    assert not findings(forbidden)


def test_folders_stay_small() -> None:
    sizes = Counter(_folder(module) for module, path in modules().items() if path.name[0] != "_")
    assert {folder: size for folder, size in sizes.items() if size > MOST_FILES} == {}


def test_every_folder_says_what_belongs_there() -> None:
    rooms = {m: p for m, p in modules().items() if p.name == "__init__.py" and m}
    assert [
        m for m, p in rooms.items() if not p.read_text(encoding="utf-8").startswith('"""')
    ] == []


def test_package_file_only_joins_sources_and_messages() -> None:
    text = modules()[""].read_text(encoding="utf-8")
    assert text.strip() == '__path__ = __import__("pkgutil").extend_path(__path__, __name__)'


def _folder(module: str) -> str:
    path = modules().get(module)
    return module if path and path.name == "__init__.py" else module.rpartition(".")[0]
