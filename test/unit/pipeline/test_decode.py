"""From raw predictions to boxes: what is taken, in which order, and what the numbers mean."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from streampetr_ros.model.config import MODEL_NAMES, NUSCENES_CLASSES, detector_config
from streampetr_ros.model.state import DetectorOutputs
from streampetr_ros.pipeline.decode import decode

CONFIG = replace(detector_config("tiny"), max_detections=5, nms_radius=0.0)


def outputs(queries: int = 4, **cells: float) -> DetectorOutputs:
    """Predictions that are all unlikely, but for cells named like q1_c3."""
    logits = torch.full((1, queries, CONFIG.num_classes), -8.0)
    for name, value in cells.items():
        query, label = name.split("_")
        logits[0, int(query[1:]), int(label[1:])] = value
    codes = torch.zeros(1, queries, 10)
    codes[..., 0] = torch.arange(queries, dtype=torch.float32)
    codes[..., 7] = 1.0
    return DetectorOutputs(logits, codes)


@pytest.mark.parametrize("label", range(len(NUSCENES_CLASSES)))
def test_every_class_is_named(label):
    found = decode(outputs(**{f"q2_c{label}": 1.0}), CONFIG, stamp_ns=7)
    assert found.class_names[found.labels[0]] == NUSCENES_CLASSES[label]
    assert found.boxes.centers[0, 0] == 2.0
    assert found.scores[0] == pytest.approx(1 / (1 + math.exp(-1.0)))
    assert (found.stamp_ns, found.frame) == (7, "model")


def test_best_first_and_no_more_than_asked_for():
    found = decode(outputs(q0_c0=0.5, q1_c4=2.0, q3_c9=1.0), CONFIG, stamp_ns=0)
    assert found.labels[:3].tolist() == [4, 9, 0]
    assert (np.diff(found.scores) <= 0).all()
    assert len(found) == 5


def test_one_query_may_appear_with_several_classes():
    found = decode(outputs(q1_c0=2.0, q1_c1=1.0), CONFIG, stamp_ns=0)
    assert found.boxes.centers[:2, 0].tolist() == [1.0, 1.0]
    assert found.labels[:2].tolist() == [0, 1]


def test_fewer_pairs_than_asked_for():
    config = replace(CONFIG, max_detections=300)
    assert len(decode(outputs(queries=2), config, stamp_ns=0)) == 2 * CONFIG.num_classes


@pytest.mark.parametrize("yaw", [0.0, 1.0, -2.5, 3.14, -3.14, math.pi / 2])
def test_code_is_read_as_specified(yaw):
    raw = outputs(q0_c0=3.0)
    # The published models do not normalise the pair: only its direction counts.
    sine, cosine = 0.3 * math.sin(yaw), 0.3 * math.cos(yaw)
    code = [1.0, 2.0, -0.5, math.log(4.5), math.log(1.9), math.log(1.6), sine, cosine, 3.0, -1.0]
    raw.codes[0, 0] = torch.tensor(code)
    boxes = decode(raw, CONFIG, stamp_ns=0).boxes
    np.testing.assert_allclose(boxes.centers[0], [1.0, 2.0, -0.5], atol=1e-6)
    np.testing.assert_allclose(boxes.sizes[0], [4.5, 1.9, 1.6], rtol=1e-6)
    np.testing.assert_allclose(boxes.yaws[0], yaw, atol=1e-6)
    np.testing.assert_allclose(boxes.velocities[0], [3.0, -1.0], atol=1e-6)


def test_range_filter_is_inclusive_and_drops_outside_centers():
    raw = outputs(q0_c0=3.0, q1_c0=2.0, q2_c0=1.0)
    low, high = CONFIG.center_range[:3], CONFIG.center_range[3:]
    raw.codes[0, 0, :3] = torch.tensor(high)
    raw.codes[0, 1, :3] = torch.tensor([low[0] - 0.01, 0.0, 0.0])
    raw.codes[0, 2, :3] = torch.tensor([0.0, 0.0, high[2] + 0.01])
    found = decode(raw, replace(CONFIG, max_detections=3), stamp_ns=0)
    np.testing.assert_allclose(found.boxes.centers, [high], rtol=1e-6)


def apart(by: float, labels: tuple[int, int] = (0, 0)) -> DetectorOutputs:
    """Two boxes 2 m wide and 4 m long, the better one at 0, the other `by` metres to its left."""
    raw = outputs(**{f"q0_c{labels[0]}": 2.0, f"q1_c{labels[1]}": 1.0})
    raw.codes[0, :, 3:5] = torch.tensor([4.0, 2.0]).log()
    raw.codes[0, :2, :2] = torch.tensor([[0.0, 0.0], [0.0, by]])
    raw.codes[0, 2:, 0] = 1000.0
    return raw


@pytest.mark.parametrize(
    ("by", "labels", "radius", "count"),
    [
        (0.9, (0, 0), 0.5, 1),
        (1.1, (0, 0), 0.5, 2),
        (1.1, (0, 0), 0.6, 1),
        (0.9, (0, 1), 0.5, 2),
        (0.0, (0, 0), 0.0, 2),
    ],
    ids=["inside", "outside", "wider", "other class", "off"],
)
def test_a_worse_box_of_its_class_inside_a_better_one_goes(by, labels, radius, count):
    config = replace(CONFIG, max_detections=2, nms_radius=radius)
    found = decode(apart(by, labels), config, stamp_ns=0, query_ids=np.arange(10, 14))
    assert found.query_ids[found.scores > 0.5].tolist() == [10, 11][:count]


def test_what_was_dropped_drops_nothing_and_leaves_room():
    raw = apart(0.9)
    raw.logits[0, 2:, 0] = torch.tensor([0.5, 0.2])
    # Beside the second box, not beside the first.
    raw.codes[0, 2, :2] = torch.tensor([0.0, 1.8])
    raw.codes[0, 3, :2] = torch.tensor([9.0, 0.0])
    found = decode(raw, replace(CONFIG, max_detections=3, nms_radius=0.5), stamp_ns=0)
    np.testing.assert_allclose(
        found.boxes.centers[:, :2], [[0.0, 0.0], [0.0, 1.8], [9.0, 0.0]], atol=1e-6
    )


def test_published_models_suppress_nothing():
    published = [name for name in MODEL_NAMES if name != "tiny"]
    assert [detector_config(name).nms_radius for name in published] == [0.0] * len(published)


def test_one_stream_at_a_time():
    one = outputs()
    both = DetectorOutputs(*(torch.cat([value, value]) for value in one))
    with pytest.raises(ValueError, match="one stream"):
        decode(both, CONFIG, stamp_ns=0)
