"""Package files agree with each other and with the code."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml
from repository import PACKAGE, ROOT, imports, modules, project, tracked_files

#: Import name -> name on the package index, where they differ.
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "yaml": "pyyaml"}
DISTRIBUTIONS["nuscenes"] = "nuscenes-devkit"


def package_xml() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "package.xml").getroot()


def declared_distributions() -> set[str]:
    every = sum(project()["optional-dependencies"].values(), project()["dependencies"])
    return {re.split(r"[\[<>=;! ]", entry)[0].lower() for entry in every}


def test_versions_agree() -> None:
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    match = re.search(rf"project\({PACKAGE} VERSION ([\d.]+)", cmake)
    assert match
    version = match.group(1)
    assert package_xml().findtext("version") == version == project()["version"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == version


def test_changelog_is_read_by_release_tools() -> None:
    changelog = pytest.importorskip("catkin_pkg.changelog")
    read = changelog.get_changelog_from_path(str(ROOT / "CHANGELOG.rst"), PACKAGE)
    releases = list(read.foreach_version())
    assert releases[-1][0] == package_xml().findtext("version")
    assert all(contents for _, _, contents in releases)


def test_changelog_names_new_places_of_modules() -> None:
    text = (ROOT / "CHANGELOG.rst").read_text(encoding="utf-8")
    moves = re.findall(rf"``{PACKAGE}\.([\w.]+)`` →\s+``{PACKAGE}\.([\w.]+)``", text)
    assert len(moves) > 20
    assert [new for _, new in moves if new not in modules()] == [], "correct CHANGELOG.rst"
    assert [old for old, _ in moves if old in modules()] == []


def test_names_and_licence_agree() -> None:
    assert package_xml().findtext("name") == project()["name"] == PACKAGE
    assert package_xml().findtext("license") == project()["license"] == "Apache-2.0"
    assert package_xml().findtext("export/build_type") == "ament_cmake"


def outside_imports(ros: bool) -> set[str]:
    names = set()
    for module, path in modules().items():
        if module.startswith("ros.") == ros:
            names |= {name.split(".")[0] for name in imports(path)}
    return names - {PACKAGE, *sys.stdlib_module_names}


def test_imported_packages_are_declared_for_pip() -> None:
    wanted = {DISTRIBUTIONS.get(name, name).lower() for name in outside_imports(ros=False)}
    assert wanted <= declared_distributions(), "declare them in pyproject.toml"


def test_quality_declaration_speaks_of_every_dependency() -> None:
    text = (ROOT / "QUALITY_DECLARATION.md").read_text(encoding="utf-8").lower()
    names = {re.split(r"[<>=]", entry)[0].lower() for entry in project()["dependencies"]}
    called = {"opencv-python-headless": "opencv", "torch": "pytorch"}
    assert [name for name in names if called.get(name, name) not in text] == []


def test_imported_ros_packages_are_declared_for_rosdep() -> None:
    declared = {(entry.text or "").strip() for entry in package_xml() if "depend" in entry.tag}
    pip = declared_distributions()
    wanted = {
        name for name in outside_imports(ros=True) if DISTRIBUTIONS.get(name, name) not in pip
    }
    assert wanted <= declared, "declare them in package.xml"


def test_front_page_installs_for_the_car_what_has_no_rosdep_key() -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = page.partition("## On the car")[2].split("```")[1]
    order = ("rosdep install", "requirements/run.txt", "colcon build", "ros2 launch")
    places = [commands.find(command) for command in order]
    assert -1 not in places
    assert places == sorted(places)


def executables() -> dict[str, str]:
    """Return what `ros2 run` finds, and the module behind it."""
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^\s+(\w+)=([\w.]+)\)?$", cmake, flags=re.MULTILINE))


def test_executables_lead_to_modules_with_main() -> None:
    assert set(executables()) == {"streampetr_node", "replay_publisher", "streampetr"}
    for module in executables().values():
        assert module in modules(), f"no module {module}"
        assert re.search(r"\bmain\b", modules()[module].read_text(encoding="utf-8")), module


def files(pattern: str) -> list[Path]:
    return sorted(ROOT.glob(pattern))


@pytest.mark.parametrize("path", files("requirements/*.txt"), ids=lambda path: path.name)
def test_requirements_are_pinned(path: Path) -> None:
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    wrong = [line for line in lines if not line.startswith("#") and "==" not in line]
    assert not wrong


def test_required_packages_are_pinned() -> None:
    text = (ROOT / "requirements" / "run.txt").read_text(encoding="utf-8")
    text += (ROOT / "requirements" / "torch.txt").read_text(encoding="utf-8")
    for entry in project()["dependencies"]:
        name = re.split(r"[<>=]", entry)[0]
        assert re.search(rf"^{name}==", text, flags=re.MULTILINE), f"pin {name}"


@pytest.mark.parametrize("path", files("requirements/*.txt"), ids=lambda path: path.name)
def test_a_script_installs_every_requirements_file(path: Path) -> None:
    setup, *others = (
        (ROOT / "scripts" / name).read_text(encoding="utf-8")
        for name in ("setup", "docs", "bill_of_materials", "mutate")
    )
    together = re.findall(r"files\+?=\(([\w ]+)\)", setup)
    apart = re.findall(r"pip\" install .*-r requirements/(\w+)\.txt", "".join(others))
    assert path.stem in {"constraints", *" ".join(together).split(), *apart}


def yaml_files() -> list[Path]:
    return [path for path in tracked_files() if path.suffix in (".yaml", ".yml")]


@pytest.mark.parametrize("path", yaml_files(), ids=lambda path: path.name)
def test_yaml_parses(path: Path) -> None:
    assert yaml.safe_load(path.read_text(encoding="utf-8")) is not None


@pytest.mark.parametrize("path", files("config/*.xml"), ids=lambda path: path.name)
def test_xml_parses(path: Path) -> None:
    ElementTree.parse(path)


@pytest.mark.parametrize("path", files("msg/*.msg"), ids=lambda path: path.name)
def test_every_message_field_is_explained(path: Path) -> None:
    explained = False
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip():
            explained = False
        elif line.startswith("#"):
            explained = True
        else:
            assert explained, f"no comment above: {line}"


def test_stand_ins_stay_invisible_to_colcon() -> None:
    assert (ROOT / "stand_ins" / "COLCON_IGNORE").is_file()
