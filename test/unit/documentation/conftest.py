"""Shared set-up of the tests of documents: they use what other folders of tests know."""

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[2]

sys.path += [str(TESTS / "architecture"), str(TESTS / "unit" / "tools")]
