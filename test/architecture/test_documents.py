"""What the code says of the documents and the documents of the code exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from repository import PACKAGE, ROOT, modules, tracked_files, tracked_python, tracked_text

#: A page with the numbers of sections, such as "docs/model.md 4.1 to 4.3".
NUMBER = r"\d+(?:\.\d+)?"
REFERENCE = re.compile(
    rf"docs/(\w+\.md)\s+(?:#\s+)?({NUMBER}(?:(?:,| and| to)\s+(?:#\s+)?{NUMBER})*)"
)
HEADING = re.compile(r"^#+ +(.+?) *$", flags=re.MULTILINE)
BLOCK = re.compile(r"^```.*?^```$", flags=re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
PYTHON_FILE = re.compile(r"(?<![\w/.*-])(?:\.\./)?(\w[\w/-]*\.py)\b")
QUOTED = re.compile(r"`([\w./-]+/[\w./-]*)`")
MODULE = re.compile(rf"\b{PACKAGE}\.[a-z_]+(?:\.[a-z_]+)*\b")

# Put together here so that this file does not contain what it looks for.
ABSENT = re.compile(r"\bspec" + r"ification\b|\bspec \d", flags=re.IGNORECASE)


@cache
def texts() -> dict[str, str]:
    """Return what is read by people and programs, by its path in the repository; no tests."""
    named = ((str(path.relative_to(ROOT)), text) for path, text in tracked_text())
    # The changelog names what there was.
    return {name: text for name, text in named if not name.startswith(("test/", "CHANGELOG"))}


def pages() -> dict[str, str]:
    """Return the text of every page by its path in the repository."""
    return {name: text for name, text in texts().items() if name.endswith(".md")}


@cache
def sections(page: str) -> frozenset[str]:
    """Return the numbers of the headings of a page of docs/; none where there is no such page."""
    path = ROOT / "docs" / page
    text = BLOCK.sub("", path.read_text(encoding="utf-8")) if path.is_file() else ""
    found = (re.match(rf"({NUMBER})\.? ", heading) for heading in HEADING.findall(text))
    return frozenset(match[1] for match in found if match)


def anchors(text: str) -> set[str]:
    """Return the names that GitHub and the documentation site give the headings of a page."""
    headings = (re.sub(r"[^\w\s-]", "", each.lower()) for each in HEADING.findall(text))
    return {heading.strip().replace(" ", "-") for heading in headings}


def references() -> Iterator[tuple[str, str, str]]:
    """Yield every file with the page and the section it names."""
    for path, text in tracked_text():
        for page, numbers in REFERENCE.findall(text):
            for number in re.findall(NUMBER, numbers):
                yield str(path.relative_to(ROOT)), page, number


def test_sections_that_are_named_exist() -> None:
    named = list(references())
    assert len({number for _, page, number in named if page == "model.md"}) > 10
    assert [each for each in named if each[2] not in sections(each[1])] == []


def test_nothing_points_at_a_text_that_is_not_here() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked_python()
        for match in ABSENT.finditer(path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "name a section of docs/model.md, of the paper, or a REP"


def test_links_lead_to_files_and_headings() -> None:
    broken = []
    for page, text in pages().items():
        for link in LINK.findall(BLOCK.sub("", text)):
            name, _, anchor = link.partition("#")
            target = (ROOT / page).parent / name if name else ROOT / page
            if ":" in name:
                continue
            is_page = target.suffix == ".md" and target.is_file()
            known = anchors(target.read_text(encoding="utf-8")) if is_page else set()
            if not target.exists() or (anchor and anchor not in known):
                broken.append(f"{page}: {link}")
    assert not broken


def exists(name: str) -> bool:
    """Tell whether a page may name a file, folder or message so: in full or by its last parts."""
    if Path(name).stem == "NAME":  # whatever the reader calls it
        return exists(str(Path(name).parent))
    if (ROOT / name).exists() or (ROOT / "msg" / f"{Path(name).name}.msg").is_file():
        return True
    return name.rstrip("/") in endings()


@cache
def endings() -> frozenset[str]:
    """Return all last parts of the paths of tracked files and of their folders."""
    paths = {folder for path in tracked_files() for folder in (path, *path.parents)}
    return frozenset(
        "/".join(path.parts[start:]) for path in paths for start in range(1, len(path.parts))
    )


def test_texts_name_files_that_exist() -> None:
    top = {path.relative_to(ROOT).parts[0] for path in tracked_files()}
    top |= {module.split(".")[0] for module in modules()}
    missing = []
    for name, text in texts().items():
        named = set(PYTHON_FILE.findall(text))
        if name.endswith(".md"):
            named |= {quoted for quoted in QUOTED.findall(text) if Path(quoted).parts[0] in top}
        missing += [f"{name}: {each}" for each in sorted(named) if not exists(each)]
    assert not missing


def test_texts_name_modules_that_exist() -> None:
    known = {f"{PACKAGE}.{module}" for module in modules()}
    known |= {f"{PACKAGE}.msg", f"{PACKAGE}.__path__"}
    missing = []
    for name, text in texts().items():
        for module in set(MODULE.findall(text)):
            if module not in known and module.rpartition(".")[0] not in known:
                missing.append(f"{name}: {module}")
    assert not missing


def test_pages_name_members_that_exist() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in modules().values())
    bodies = dict(re.findall(r"^class (\w+)(.*?)(?=^\S|\Z)", code, flags=re.MULTILINE | re.DOTALL))
    missing = []
    for page, text in pages().items():
        if page == "docs/messages.md":  # fields of messages
            continue
        for owner, member in set(re.findall(r"`([A-Z]\w*[a-z]\w*)\.(\w+)", text)):
            if not re.search(rf"\b{member}\b", bodies.get(owner, "")):
                missing.append(f"{page}: {owner}.{member}")
    assert not missing
