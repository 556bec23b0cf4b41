"""The layers of the package: what may import what."""

from __future__ import annotations

import sys

import pytest
from repository import PACKAGE, imports, modules

FOUNDATION = ("types", "geometry", "config", "files", "timing", "model.config", "model.state")
STAGES = ("ingest", "preprocess", "decode", "filters", "track")
PROGRAMS = ("threads",)
OFFLINE = ("sources", "synth", "viz", "training", "evaluation", "export", "tools", "__main__")
PARTS = ("lineage", "memory_policy", "pipeline_data")
CORE = (*FOUNDATION, *STAGES, "model", "backends", *PARTS, "pipeline")

#: Part of the package -> parts it may import. The longest matching name counts.
MAY_IMPORT: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(FOUNDATION, FOUNDATION),
    **{stage: (*FOUNDATION, stage) for stage in STAGES},
    "model": (*FOUNDATION, "model"),
    "backends": (*FOUNDATION, "model", "backends"),
    "lineage": FOUNDATION,
    "memory_policy": (*FOUNDATION, *STAGES),
    "pipeline_data": (*FOUNDATION, *STAGES, *PARTS),
    "pipeline": CORE,
    "threads": (),
    **dict.fromkeys(OFFLINE, (*CORE, *OFFLINE, *PROGRAMS)),
    "ros": (*CORE, *OFFLINE, *PROGRAMS, "ros", "msg"),
}

#: The same for packages from outside; parts that are not listed may import any declared one.
MAY_USE: dict[str, set[str]] = {
    "types": {"numpy"},
    "geometry": {"numpy"},
    "config": {"numpy", "yaml"},
    "timing": {"torch"},
    "threads": {"threadpoolctl"},
    "model.config": {"numpy"},
    "model.state": {"torch"},
    "ingest": {"numpy", "PIL", "cv2", "simplejpeg"},
    "preprocess": {"numpy", "PIL", "cv2", "torch"},
    "decode": {"numpy"},
    "filters": {"numpy"},
    "track": {"numpy", "scipy"},
    "model": {"numpy", "torch", "safetensors"},
    "backends": {"numpy", "torch", "onnx", "onnxruntime", "tensorrt"},
    "lineage": {"numpy"},
    "memory_policy": {"numpy"},
    "pipeline_data": set(),
    "pipeline": {"numpy", "torch"},
}

ROS_NAMES = {"rclpy", "tf2_ros", "tf2_py", "cv_bridge", "message_filters", "ament_index_python"}


def part_of(module: str) -> str:
    """Return the part of the package that a module belongs to, or "" if none is declared."""
    fitting = [part for part in MAY_IMPORT if module == part or module.startswith(f"{part}.")]
    return max(fitting, key=len, default="")


def is_ros(package: str) -> bool:
    return package in ROS_NAMES or package.endswith(("_msgs", "_srvs", "_interfaces"))


def module_names() -> list[str]:
    return [name for name in modules() if name]


@pytest.mark.parametrize("module", module_names())
def test_module_belongs_to_a_layer(module: str) -> None:
    assert part_of(module), f"give '{module}' a place in MAY_IMPORT"


@pytest.mark.parametrize("module", module_names())
def test_imports_only_lower_layers(module: str) -> None:
    own = {
        name.removeprefix(f"{PACKAGE}.")
        for name in imports(modules()[module])
        if name.startswith(f"{PACKAGE}.")
    }
    allowed = MAY_IMPORT[part_of(module)]
    wrong = {name for name in own if name.split(".")[0] != "msg" and part_of(name) not in allowed}
    wrong |= {name for name in own if name.split(".")[0] == "msg" and "msg" not in allowed}
    assert not wrong, f"{module} must not import {sorted(wrong)}"


@pytest.mark.parametrize("module", module_names())
def test_uses_only_packages_of_its_layer(module: str) -> None:
    outside = {name.split(".")[0] for name in imports(modules()[module])}
    outside -= {PACKAGE, *sys.stdlib_module_names}
    part = part_of(module)
    if part != "ros":
        assert not {name for name in outside if is_ros(name)}, f"{module} must not import ROS"
    if part in MAY_USE:
        assert outside <= MAY_USE[part], f"{module} uses {sorted(outside - MAY_USE[part])}"


def test_package_file_only_joins_sources_and_messages() -> None:
    text = modules()[""].read_text(encoding="utf-8")
    assert text.strip() == '__path__ = __import__("pkgutil").extend_path(__path__, __name__)'
