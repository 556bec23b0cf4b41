"""A wheel, installed where nothing else is, gives weights, settings and the compiled kernel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from repository import PACKAGE, ROOT, modules, tracked_files

#: "pinned" as scripts/setup installs, or "newest" of NumPy, OpenCV, Pillow and the rest.
VERSIONS = os.environ.get("STREAMPETR_WHEEL_VERSIONS", "pinned")

FACTS = f"""
import json
from {PACKAGE} import core
from {PACKAGE}.backends.opening import default_weights
from {PACKAGE}.core.reading import read_yaml
from {PACKAGE}.preprocess.image import exact_resizer

print(json.dumps({{
    "package": core.__file__,
    "weights": default_weights("tiny"),
    "recipe": read_yaml("config/train/tiny_synthetic.yaml", "recipe")["name"],
    "resizer": exact_resizer(),
}}))
"""


def run(*command: str | Path, folder: Path, **variables: str) -> str:
    """Run a program that sees neither the sources nor the environment of the tests."""
    hidden = ("PYTHONPATH", "AMENT_PREFIX_PATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
    ended = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key not in hidden} | variables,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy what is tracked, as in a clean clone."""
    folder = tmp_path_factory.mktemp("sources")
    for path in tracked_files():
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return folder


def build_wheel(sources: Path, folder: Path, **variables: str) -> Path:
    pip = (sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index")
    run(*pip, "-w", folder, sources, folder=folder, **variables)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def wheels(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Build without a compiler, then with one where the first left a module of long ago."""
    plain = build_wheel(sources, tmp_path_factory.mktemp("plain"), CC="false")
    (left,) = sources.glob(f"build/lib*/{PACKAGE}")
    (left / "gone.py").touch()
    return plain, build_wheel(sources, tmp_path_factory.mktemp("whole"))


def test_without_a_compiler_only_the_kernels_are_missing(wheels: tuple[Path, Path]) -> None:
    plain, whole = (set(zipfile.ZipFile(wheel).namelist()) for wheel in wheels)
    assert whole - plain == {f"{PACKAGE}/resize.so", f"{PACKAGE}/jpeg.so"}


def test_wheel_holds_all_modules_and_data_and_nothing_else(wheels: tuple[Path, Path]) -> None:
    names = set(zipfile.ZipFile(wheels[1]).namelist())
    modules_inside = {name for name in names if name.endswith(".py")}
    assert modules_inside == {str(path.relative_to(ROOT)) for path in modules().values()}
    data = {str(path.relative_to(ROOT)) for path in tracked_files()}
    for folder in ("config/", "models/"):
        shared = {f"{PACKAGE}/share/{name}" for name in data if name.startswith(folder)}
        assert shared <= names
    described = {name for name in data if name.startswith(PACKAGE) and name.endswith(".yaml")}
    assert described | {f"{PACKAGE}/py.typed"} <= names


@pytest.fixture(scope="module")
def installed(wheels: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the programs of an environment that holds the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)
    pins = ROOT / "requirements"
    constraints = folder / "constraints.txt"
    files = ["torch.txt"]
    if VERSIONS == "pinned":
        files += ["run.txt", "constraints.txt"]
    constraints.write_text("".join((pins / name).read_text() for name in files))
    pip = (folder / "bin" / "python", "-m", "pip", "install", "--no-input", "--no-compile", "-q")
    run(*pip, "-c", constraints, wheels[1], folder=folder)
    return folder / "bin"


@pytest.mark.slow
def test_installed_wheel_runs_the_shipped_weights(installed: Path, tmp_path: Path) -> None:
    facts = json.loads(run(installed / "python", "-c", FACTS, folder=tmp_path).splitlines()[-1])
    share = Path(facts["package"]).parents[1] / "share"
    assert share.is_relative_to(installed.parent)
    assert facts["weights"] == str(share / "models" / "tiny_synthetic.safetensors")
    assert facts["recipe"] == "tiny_synthetic"
    assert facts["resizer"] == "the compiled kernel"
    assert "replay" in run(installed / "streampetr", "--help", folder=tmp_path)
    options = ("--model", "tiny", "--limit", "3", "--out", tmp_path / "out")
    run(installed / "streampetr", "replay", "synthetic:0", *options, folder=tmp_path)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["weights"] == facts["weights"]
    assert len((tmp_path / "out" / "detections.jsonl").read_text().splitlines()) == 3
