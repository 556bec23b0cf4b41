"""Rows of the table of faults, for studies/fault_table.py."""

from __future__ import annotations

import json
import os
from pathlib import Path
from textwrap import shorten


def shortened(text: str) -> str:
    """Cut a text so that a row of the table stays readable, and show that it goes on."""
    return shorten(text, 160, placeholder=" …")


def write_row(fault: str, expected: str, seen: str) -> None:
    """Add a row to the table if one is wanted."""
    path = os.environ.get("STREAMPETR_FAULT_TABLE")
    if path:
        row = {"fault": fault, "expected": expected, "seen": seen}
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
