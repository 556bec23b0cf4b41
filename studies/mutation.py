"""Asks whether the tests notice small changes of the code: cosmic-ray on a random sample.

Of every room a sample of changes is drawn (a comparison, a sign, an and/or, a truth value), made in
a copy of what is committed, one at a time, and the tests of that room are run. What they let pass
is printed.

    python studies/mutation.py --rooms track --sample 30 --seed 0

`scripts/mutate` installs the tool first and takes the same options.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import shutil
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_PLACE = ROOT / "build" / "mutation"
#: Operators whose changes make sense: others give what no reader would write.
_WANTED = re.compile(
    r"core/(ReplaceComparisonOperator_(?!\w+_Is(Not)?$)\w+|ReplaceComparisonOperator_Is(Not)?_\w+"
    r"|ReplaceAndWithOr|ReplaceOrWithAnd|AddNot|ReplaceUnaryOperator_Delete_\w+"
    r"|ReplaceTrueWithFalse|ReplaceFalseWithTrue"
    r"|ReplaceBinaryOperator_(Add_Sub|Sub_Add|Mul_Div|Div_Mul|FloorDiv_Mul))$"
)
_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Room:
    """What is changed, and the tests that should notice."""

    code: str
    tests: str


ROOMS = {
    "sync": Room("ingest/sync", "test/unit/ingest/sync"),
    "transforms": Room("ingest/transforms", "test/unit/ingest/transforms"),
    "pictures": Room("ingest/pictures", "test/unit/ingest/pictures"),
    "rig": Room("ingest/rig.py", "test/unit/ingest/test_rig.py test/unit/ingest/test_lens.py"),
    "assembly": Room(
        "ingest/assembly.py", "test/unit/ingest test/ros/inputs test/unit/sources/bag"
    ),
    "geometry": Room("core/geometry.py", "test/unit/core test/unit/ingest/transforms"),
    "pipeline": Room("pipeline", "test/unit/pipeline"),
    "track": Room("track", "test/unit/track"),
    "messages": Room("messages", "test/ros/outputs test/unit/tools/replay test/unit/sources/bag"),
}


def sampled(name: str, tool: str, count: int, seed: int) -> tuple[int, list[str]]:
    """Try a sample of the changes of a room; return how many were made and those that passed."""
    room, session = ROOMS[name], _PLACE / f"{name}.sqlite"
    config = _PLACE / f"{name}.toml"
    tree = _PLACE / name
    shutil.rmtree(tree, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", ROOT, tree], check=True)  # noqa: S603, S607
    session.unlink(missing_ok=True)
    settings = {
        "module-path": f"streampetr_ros/{room.code}",
        "timeout": _TIMEOUT_S,
        "excluded-modules": ["**/__init__.py"],
        "test-command": f"python -m pytest -x -q -p no:cacheprovider {room.tests}",
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    text = ["[cosmic-ray]", *lines, "[cosmic-ray.distributor]", 'name = "local"', ""]
    config.write_text("\n".join(text), encoding="utf-8")
    for verb in ("init", "exec"):
        subprocess.run([tool, verb, config, session], cwd=tree, check=True)  # noqa: S603
        if verb == "init":
            _draw(session, count, seed)
    return _judged(session)


def _draw(session: Path, count: int, seed: int) -> None:
    """Keep a sample of the changes alone."""
    with sqlite3.connect(session) as store:
        found = store.execute("select job_id, operator_name from mutation_specs order by job_id")
        places = store.execute(
            "select job_id, module_path, start_pos_row from mutation_specs order by module_path, "
            "start_pos_row, start_pos_col, operator_name, occurrence"
        )
        wanted = {job for job, operator in found if _WANTED.match(operator)}
        jobs = [job for job, path, row in places if job in wanted and _does_something(path, row)]
        kept = set(random.Random(seed).sample(jobs, min(count, len(jobs))))  # noqa: S311
        every = [job for (job,) in store.execute("select job_id from work_items")]
        for table in ("mutation_specs", "work_items"):
            store.executemany(
                f"delete from {table} where job_id = ?",  # noqa: S608 - one of two names
                [(job,) for job in every if job not in kept],
            )


def _does_something(path: str, row: int) -> bool:
    """Leave out how data classes are stored: frozen and slotted ones behave alike."""
    line = (ROOT / path).read_text(encoding="utf-8").splitlines()[row - 1]
    return not line.lstrip().startswith("@dataclass")


def _judged(session: Path) -> tuple[int, list[str]]:
    with sqlite3.connect(session) as store:
        results = store.execute(
            "select module_path, start_pos_row, operator_name, test_outcome, diff "
            "from work_results join mutation_specs using (job_id) "
            "order by module_path, start_pos_row"
        ).fetchall()
    alive = [
        f"{path}:{row} {operator.removeprefix('core/')}\n{_changed(diff)}"
        for path, row, operator, outcome, diff in results
        if str(outcome).upper().endswith("SURVIVED")
    ]
    return len(results), alive


def _changed(diff: str) -> str:
    lines = (diff or "").splitlines()
    return "\n".join(f"    {line}" for line in lines if re.match(r"[-+](?![-+])", line))


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--tool", default="cosmic-ray", help="program of cosmic-ray")
    parser.add_argument("--rooms", nargs="+", choices=ROOMS, default=list(ROOMS))
    parser.add_argument("--sample", type=int, default=20, help="changes of each room")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    _PLACE.mkdir(parents=True, exist_ok=True)
    tool = str(Path(options.tool).resolve()) if "/" in options.tool else options.tool
    tried = noticed = 0
    print("| room | changes | noticed |\n|---|---|---|", flush=True)
    passed = []
    for name in options.rooms:
        count, alive = sampled(name, tool, options.sample, options.seed)
        tried, noticed = tried + count, noticed + count - len(alive)
        passed += alive
        print(f"| {name} | {count} | {count - len(alive)} |", flush=True)
    print(f"| **all** | {tried} | {noticed} ({noticed / max(1, tried):.0%}) |")
    print("\nNot noticed:\n" if passed else "", *passed, sep="\n")


if __name__ == "__main__":
    main()
