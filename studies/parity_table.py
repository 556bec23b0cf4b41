"""Print the comparison with recordings of the published models as a Markdown table.

The numbers come from the parity tests, which write them to the file that a variable names:

    STREAMPETR_PARITY_TABLE=parity.jsonl scripts/test test/parity
    python studies/parity_table.py parity.jsonl
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

COLUMNS = {
    "logits": "logits",
    "logits_rms": "logits, rms",
    "scores": "scores",
    "centers_m": "centers, m",
    "log_sizes": "log sizes",
    "sin_cos": "sin, cos of yaw",
    "velocities": "velocities, m/s",
}
MODES = ("stepwise", "free run")


def largest(rows: list[dict[str, Any]]) -> dict[tuple[str, str, int], dict[str, float]]:
    """Keep the largest difference per configuration, mode and frame."""
    table: dict[tuple[str, str, int], dict[str, float]] = {}
    for row in rows:
        if row["mode"] in MODES:
            cell = table.setdefault((row["config"], row["mode"], row["frame"]), {})
            for key in COLUMNS:
                cell[key] = max(cell.get(key, 0.0), row[key])
    return table


def markdown(table: dict[tuple[str, str, int], dict[str, float]]) -> str:
    """Lay out one line per configuration, mode and frame."""
    lines = [f"| configuration | mode | frame | {' | '.join(COLUMNS.values())} |"]
    lines.append("|---" * (3 + len(COLUMNS)) + "|")
    for (config, mode, frame), cell in sorted(table.items()):
        numbers = " | ".join(f"{cell[key]:.1e}" for key in COLUMNS)
        lines.append(f"| {config} | {mode} | {frame} | {numbers} |")
    return "\n".join(lines)


def main() -> None:
    """Read the file named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="written by test/parity")
    text = parser.parse_args().file.read_text()
    rows = [json.loads(line) for line in text.splitlines()]
    sys.stdout.write(markdown(largest(rows)) + "\n")


if __name__ == "__main__":
    main()
