"""Pictures: strokes where the projection puts them, views in physical order, nothing behind."""

from dataclasses import replace

import numpy as np
import pytest
from rigs import frame_set, without

from streampetr_ros.core import geometry
from streampetr_ros.core.types import Boxes, Detections, Truth
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.preprocess.inputs import InputConfig, prepare_inputs
from streampetr_ros.viz.bev import beside, render_top_view
from streampetr_ros.viz.drawing import Label, write_labels
from streampetr_ros.viz.layer import (
    Layer,
    class_color,
    detection_layer,
    painting_order,
    truth_layer,
)
from streampetr_ros.viz.overlay import arrange, clip_segments, image_from_base, render_cameras


def dark_set():
    """The usual rig with black images."""
    one = frame_set(1)
    return replace(
        one,
        cameras=tuple(replace(f, pixels=np.zeros_like(f.pixels)) for f in one.cameras),
    )


def boxes_at(*centers_base, speed: float = 4.0) -> Boxes:
    count = len(centers_base)
    return Boxes(
        centers=np.array(centers_base, dtype=np.float64),
        sizes=np.tile([4.0, 2.0, 1.6], (count, 1)),
        yaws=np.zeros(count),
        velocities=np.tile([speed, 0.0], (count, 1)),
    )


def layer_at(*centers_base, speed: float = 4.0, **changes) -> Layer:
    boxes = boxes_at(*centers_base, speed=speed)
    return Layer(
        boxes=boxes,
        base_from_boxes=np.eye(4),
        class_names=("car",) * len(boxes),
        scores=np.full(len(boxes), 0.8),
        **changes,
    )


def test_overlay_uses_the_chain_of_the_network():
    """A box center drawn at a pixel is the center that pixel leads the network to."""
    one = frame_set(1)
    inputs = prepare_inputs(one, None, InputConfig(image=ImageConfig(height=224, width=416)))
    model_from_base = geometry.inverse(one.base_from_model)
    for index, frame in enumerate(one.cameras):
        ahead = frame.calibration.base_from_camera @ [0.2, 0.1, 15.0, 1.0]
        (u, v), depth = geometry.project(image_from_base(frame, one), ahead[:3])
        scale = 416 / 400
        scaled = [scale * u * depth, (scale * v - 10) * depth, depth, 1.0]
        back = inputs.model_from_image[0, index].double().numpy() @ scaled
        np.testing.assert_allclose(back[:3], (model_from_base @ ahead)[:3], atol=2e-4)


def test_views_are_in_physical_order():
    ahead, behind = arrange(frame_set().cameras[::-1])
    names = [[frame.calibration.name for frame in row] for row in (ahead, behind)]
    assert names == [
        ["CAM_FRONT_LEFT", "CAM_FRONT", "CAM_FRONT_RIGHT"],
        ["CAM_BACK_LEFT", "CAM_BACK", "CAM_BACK_RIGHT"],
    ]


def test_trails_lead_to_their_boxes_from_above():
    trails = [np.array([[30.0, 20.0, 0.0], [10.0, 20.0, 0.0]]), np.zeros((1, 3))]
    plain = layer_at((10.0, 20.0, 0.8), (-20.0, -9.0, 0.8), speed=0.0)
    one = dark_set()
    without_trails = render_top_view(one, [plain], 560)
    changed = render_top_view(one, [replace(plain, trails=trails)], 560) != without_trails
    # Five pixels per metre, x up, y left: the trail lies between x of 10 and 30 at y of 20.
    rows, columns = np.nonzero(changed.any(axis=2))
    assert set(columns) <= set(range(177, 184))
    assert rows.min() in range(127, 134)
    assert rows.max() in range(216, 234)


def changed_tiles(layer: Layer) -> np.ndarray:
    """Which of the 2 x 3 views a layer changes."""
    one = dark_set()
    plain, drawn = render_cameras(one, [], 600), render_cameras(one, [layer], 600)
    changed = (plain != drawn).any(axis=2)
    rows = np.array_split(changed, 2, axis=0)
    return np.array([[tile.sum() > 30 for tile in np.array_split(r, 3, axis=1)] for r in rows])


@pytest.mark.parametrize(
    ("center", "expected"),
    [
        ((15.0, 0.0, 0.8), [[0, 1, 0], [0, 0, 0]]),
        ((-15.0, 0.0, 0.8), [[0, 0, 0], [0, 1, 0]]),
        ((8.0, 12.0, 0.8), [[1, 0, 0], [0, 0, 0]]),
        ((-6.0, -15.0, 0.8), [[0, 0, 0], [0, 0, 1]]),
    ],
)
def test_a_box_appears_in_the_view_it_is_in(center, expected):
    np.testing.assert_array_equal(changed_tiles(layer_at(center)), np.array(expected, dtype=bool))


def test_a_box_around_the_camera_is_clipped_not_wrapped():
    picture = render_cameras(dark_set(), [layer_at((1.0, 0.0, 1.5), (40.0, 0.0, 1.0))], 600)
    assert picture.shape == (2 * 111 + 4, 600, 3)


def test_clipping_is_exact():
    start_behind = np.array([[[0.0, 0.0, -1.0], [50.0, 50.0, 1.0]]])
    ((first, last),) = clip_segments(start_behind, 100, 100)
    # The near plane at 0.3 m is crossed at 65 % of the line, where u * d = v * d = 32.5.
    np.testing.assert_allclose(first, 32.5 / 0.3)
    np.testing.assert_allclose(last, [50, 50])
    behind = np.array([[[0.0, 0.0, -1.0], [5.0, 5.0, -0.1]]])
    aside = np.array([[[-500.0, 0.0, 1.0], [-400.0, 50.0, 1.0]]])
    assert len(clip_segments(behind, 100, 100)) == 0
    assert len(clip_segments(aside, 100, 100)) == 0
    inside = np.array([[[10.0, 20.0, 1.0], [160.0, 40.0, 2.0]]])
    np.testing.assert_allclose(clip_segments(inside, 100, 100)[0], [[10, 20], [80, 20]])


def test_missing_views_leave_the_others_in_place():
    picture = render_cameras(without(dark_set(), "CAM_BACK", "CAM_BACK_LEFT"), [], 600)
    assert picture.shape[1] == 600


def detections() -> Detections:
    return Detections(
        stamp_ns=0,
        boxes=boxes_at((10, 0, 1), (20, 0, 1)),
        scores=np.array([0.9, 0.2]),
        labels=np.array([0, 1]),
        class_names=("car", "traffic_cone"),
        frame="base",
    )


def test_layers_from_detections_and_truth():
    layer = detection_layer(detections(), np.eye(4), min_score=0.5)
    assert layer.labels() == ["car 0.90"]
    assert layer.colors() == [class_color("car")]
    assert len({class_color(name) for name in ("car", "tram", "scooter", "cart")}) == 4
    truth = Truth(
        boxes=boxes_at((10, 0, 1)),
        class_names=("car",),
        instance_ids=np.array([1]),
        visibilities=np.array([1.0]),
    )
    base_from_model = dark_set().base_from_model
    drawn = truth_layer(truth, base_from_model)
    back = drawn.boxes.transformed(drawn.base_from_boxes)
    np.testing.assert_allclose(back.centers, truth.boxes.centers, atol=1e-12)
    assert (drawn.is_truth, drawn.labels()) == (True, [""])


def test_near_boxes_are_painted_last():
    order = painting_order(layer_at((5, 0, 1), (30, 0, 1), (10, 0, 1)), [0.0, 0.0, 0.0])
    assert order == [1, 2, 0]


def test_top_view_puts_ahead_up_and_left_left():
    empty = render_top_view(dark_set(), [], size=400, reach=50.0)
    for center, row, column in (((25, 0, 0), 100, 200), ((0, 25, 0), 200, 100)):
        picture = render_top_view(dark_set(), [layer_at(center)], size=400, reach=50.0)
        changed = (picture != empty).any(axis=2)
        changed[:40, :150] = False
        rows, columns = np.nonzero(changed)
        assert abs(np.median(rows) - row) < 12
        assert abs(np.median(columns) - column) < 12


def test_unknown_velocity_draws_no_arrow():
    layer = layer_at((25, 0, 0))
    silent = replace(
        layer, boxes=replace(layer.boxes, velocities=np.full((1, 2), np.nan)), is_truth=False
    )
    assert render_top_view(dark_set(), [silent], size=200).shape == (200, 200, 3)


def test_pictures_side_by_side():
    left, right = np.zeros((60, 100, 3), np.uint8), np.zeros((40, 40, 3), np.uint8)
    assert beside(left, right).shape == (60, 100 + 4 + 60, 3)


def test_overlapping_text_is_left_out():
    blank = np.zeros((40, 200, 3), np.uint8)
    one = Label("first", 10, 25, (255, 255, 255))
    written = write_labels(blank, [one, Label("second", 12, 26, (255, 255, 255))])
    np.testing.assert_array_equal(written, write_labels(blank, [one]))


def test_hidden_annotations_are_left_out():
    truth = Truth(
        boxes=boxes_at((10, 0, 1), (20, 0, 1), (30, 0, 1)),
        class_names=("car", "bus", "truck"),
        instance_ids=np.arange(3),
        visibilities=np.array([1.0, 0.0, np.nan]),
    )
    assert truth_layer(truth, np.eye(4)).class_names == ("car", "truck")
