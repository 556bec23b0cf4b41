"""Boxes and detections keep their meaning when moved between frames."""

import numpy as np

from streampetr_ros.core import geometry
from streampetr_ros.core.types import Boxes, Detections


def example_boxes() -> Boxes:
    return Boxes(
        centers=np.array([[0.0, 10.0, -1.0], [5.0, 0.0, 0.0]]),
        sizes=np.array([[4.5, 1.9, 1.6], [0.7, 0.7, 1.8]]),
        yaws=np.array([np.pi / 2, 0.0]),
        velocities=np.array([[0.0, 8.0], [np.nan, np.nan]]),
    )


def model_mounting() -> np.ndarray:
    return geometry.transform_from_parts([0.94, 0.0, 1.84], geometry.rotation_about_z(-np.pi / 2))


def test_model_frame_turns_back_to_the_base_frame():
    base = example_boxes().transformed(model_mounting())
    np.testing.assert_allclose(base.centers[0], [10.94, 0.0, 0.84], atol=1e-12)
    np.testing.assert_allclose(base.yaws[0], 0.0, atol=1e-12)
    np.testing.assert_allclose(base.velocities[0], [8.0, 0.0], atol=1e-12)
    assert np.isnan(base.velocities[1]).all()


def test_there_and_back_is_the_same():
    boxes = example_boxes()
    back = boxes.transformed(model_mounting()).transformed(geometry.inverse(model_mounting()))
    np.testing.assert_allclose(back.centers, boxes.centers, atol=1e-12)
    np.testing.assert_allclose(back.yaws, boxes.yaws, atol=1e-12)
    np.testing.assert_allclose(back.corners(), boxes.corners(), atol=1e-12)


def test_selection_keeps_rows_together():
    detections = Detections(
        stamp_ns=1,
        boxes=example_boxes(),
        scores=np.array([0.9, 0.2]),
        labels=np.array([0, 8]),
        class_names=("car",) * 9,
        frame="model",
    )
    picked = detections.selected(detections.scores < 0.5)
    assert len(picked) == len(picked.boxes) == 1
    assert picked.labels.tolist() == [8]
    np.testing.assert_allclose(picked.boxes.sizes, [[0.7, 0.7, 1.8]])
    assert picked.transformed(model_mounting(), "base").frame == "base"
