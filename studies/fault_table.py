r"""Write the faults that the tests inject into a running node as the table of docs/faults.md.

The rows come from the tests, which append them to the file that a variable names:

    STREAMPETR_FAULT_TABLE=faults.jsonl scripts/test test/ros/node/test_node_faults.py \
        test/ros/node/test_node_end.py
    python studies/fault_table.py faults.jsonl > docs/faults.md
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

HEAD = """# Faults and what the node does

Each row is a test that drives the real node in a process of its own over DDS. After every fault
detection resumes and the stamps of the output only go back where a reset says so. The table is
written by `studies/fault_table.py` from a run of the tests.

| fault | expected | seen |
|---|---|---|
"""


def row(text: str) -> str:
    """Lay out one fault."""
    cells = json.loads(text)
    return " | ".join(str(cells[key]).replace("|", "/") for key in ("fault", "expected", "seen"))


def main() -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="written by the tests")
    lines = parser.parse_args().file.read_text(encoding="utf-8").splitlines()
    sys.stdout.write(HEAD + "".join(f"| {row(line)} |\n" for line in lines))


if __name__ == "__main__":
    main()
