"""The table of sizes on the page about the network tells what the models have."""

import re

from repository import ROOT

from streampetr_ros.model.config import MODEL_NAMES, detector_config
from streampetr_ros.model.position import STRIDE, depth_bins

_CAMERAS = 6
PAGE = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")


def sizes(name):
    """Return what a row of the table should say."""
    model = detector_config(name)
    h, w = model.image.height // STRIDE, model.image.width // STRIDE
    memory = (model.num_propagated, model.memory_length) if model.temporal else ("-", "-")
    assert model.num_propagated == model.num_proposals
    keys = model.num_queries + (model.memory_length if model.temporal else 0)
    image = f"{model.image.height} x {model.image.width}"
    row = (image, f"{h} x {w}", _CAMERAS * h * w, model.num_queries, *memory, keys)
    return [str(cell) for cell in row]


def test_sizes_are_those_of_the_models():
    table = PAGE.partition("### 1.3 ")[2].partition("\n### ")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| `")]
    said = {name: cells for first, *cells in rows for name in re.findall(r"`(\w+)`", first)}
    assert said == {name: sizes(name) for name in MODEL_NAMES}


def test_depths_are_those_of_the_bins():
    bins = depth_bins(detector_config("stream_petr_r50_428q"))
    text = " ".join(PAGE.split())
    assert f"the last at {bins[-1]:.2f} m" in text
    assert f"X̂_34 the one at {bins[34]:.1f} m" in text
