"""The node's calibration chain against the projection matrices stored with real recordings."""

import json

import numpy as np
import pytest
from folder import DATA, DDAD, NUSCENES, needs_data

from streampetr_ros.core import geometry
from streampetr_ros.model.config import detector_config
from streampetr_ros.preprocess.image import plan_resize_crop
from streampetr_ros.preprocess.inputs import InputConfig, prepare_inputs
from streampetr_ros.sources import open_source
from streampetr_ros.sources.frames.frame_json import Entry

pytestmark = needs_data

FRAMES = [
    *(DATA / name for name in NUSCENES),
    *(DATA / DDAD / f"{index:03d}" for index in range(3)),
]
IMAGE = detector_config("stream_petr_r50_428q").image


@pytest.fixture(
    scope="module", params=FRAMES, ids=lambda folder: f"{folder.parent.name}-{folder.name}"
)
def recorded(request):
    """Raw content and the frame set made from it."""
    content = json.loads((request.param / "frame.json").read_text())
    (frame_set,) = open_source(request.param)
    return content, frame_set


def annotated_boxes(content) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) centers and (n, 8, 3) corners in the LiDAR frame at the LiDAR's stamp."""
    boxes = content["boxes"]
    centers = np.array([box["center"] for box in boxes])
    sizes = [box["size_lwh"] for box in boxes]
    return centers, geometry.box_corners(centers, sizes, [box["yaw"] for box in boxes])


def visible_error_px(frame, actual, expected_from_stored) -> np.ndarray:
    """Pixel distances of points that the stored matrix puts inside the image."""
    pixels, depths = actual
    stored, stored_depths = expected_from_stored
    camera = frame.calibration
    inside = (stored_depths > 0.5) & (depths > 0.5)
    inside &= (stored >= 0).all(axis=-1) & (stored < (camera.width, camera.height)).all(axis=-1)
    return np.linalg.norm(pixels - stored, axis=-1)[inside]


def image_from_fixed(frame) -> np.ndarray:
    camera = frame.calibration
    camera_from_base = geometry.inverse(camera.base_from_camera)
    return (
        geometry.homogeneous_intrinsic(camera.intrinsic)
        @ camera_from_base
        @ geometry.inverse(frame.fixed_from_base)
    )


def test_chain_at_the_lidar_stamp(recorded):
    """Same points through our chain of poses and through the stored matrix."""
    content, frame_set = recorded
    lidar = Entry(content, "frame.json").entry("lidar")
    fixed_from_lidar = lidar.pose("ego2global") @ lidar.pose("lidar2ego")
    centers, corners = annotated_boxes(content)
    points = np.concatenate([centers, corners.reshape(-1, 3)])
    seen = 0
    for frame in frame_set.cameras:
        stored = np.array(content["cameras"][frame.calibration.name]["lidar2img"])
        actual = geometry.project(image_from_fixed(frame) @ fixed_from_lidar, points)
        errors = visible_error_px(frame, actual, geometry.project(stored, points))
        seen += len(errors)
        assert errors.size == 0 or errors.max() <= 0.5
    assert seen > 50


def test_truth_at_the_reference_stamp(recorded):
    """Truth moved to the set's own time and drawn at each camera's time stays on the objects."""
    content, frame_set = recorded
    kept = [b["cls"] != "ignore" and b.get("valid", True) for b in content["boxes"]]
    centers, corners = annotated_boxes(content)
    stored_points = np.concatenate([centers[kept], corners[kept].reshape(-1, 3)])
    model_from_base = geometry.inverse(frame_set.base_from_model)
    boxes = frame_set.truth.boxes.transformed(model_from_base)
    points = np.concatenate([boxes.centers, boxes.corners().reshape(-1, 3)])
    fixed_from_model = frame_set.fixed_from_base @ frame_set.base_from_model
    for frame in frame_set.cameras:
        stored = np.array(content["cameras"][frame.calibration.name]["lidar2img"])
        actual = geometry.project(image_from_fixed(frame) @ fixed_from_model, points)
        errors = visible_error_px(frame, actual, geometry.project(stored, stored_points))
        assert errors.size == 0 or errors.max() <= 2.0


def test_network_inputs_hold_the_same_chain(recorded):
    """What the network is told about a pixel leads back to the point that was projected there."""
    _, frame_set = recorded
    inputs = prepare_inputs(frame_set, None, InputConfig(image=IMAGE))
    model_from_base = geometry.inverse(frame_set.base_from_model)
    points_model = geometry.transform_points(model_from_base, frame_set.truth.boxes.centers)
    fixed_from_model = frame_set.fixed_from_base @ frame_set.base_from_model
    for index, frame in enumerate(frame_set.cameras):
        camera = frame.calibration
        plan = plan_resize_crop(camera.width, camera.height, IMAGE)
        network_from_image = np.eye(4)
        network_from_image[:3, :3] = plan.network_from_image
        network_from_model = network_from_image @ image_from_fixed(frame) @ fixed_from_model
        scaled = geometry.transform_points(network_from_model, points_model)
        model_from_image = inputs.model_from_image[0, index].double().numpy()
        back = geometry.transform_points(model_from_image, scaled)
        np.testing.assert_allclose(back, points_model, atol=1e-3)
