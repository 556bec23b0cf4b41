"""Tracks of the pipeline: identities on boxes, the vehicle's motion, what a reset does to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from rigs import driving_pose, frame_set, moved, without

from streampetr_ros.core import geometry
from streampetr_ros.core.errors import UserError
from streampetr_ros.model.config import DetectorConfig, ImageConfig
from streampetr_ros.model.state import DetectorOutputs
from streampetr_ros.pipeline.filters import FilterConfig
from streampetr_ros.pipeline.memory_policy import ResetReason
from streampetr_ros.pipeline.streaming import PipelineConfig, StreamingPipeline
from streampetr_ros.track import TrackingConfig

SIZE = (64, 36)
MODEL = DetectorConfig(
    name="scripted", image=ImageConfig(height=32, width=64), backbone="resnet_tiny"
)
#: A parked car in the fixed frame, beside the road that `driving_pose` follows.
PARKED = np.array([14.0, 4.0, 0.8])
#: new_from_old of a fixed frame that jumped.
FAR_AWAY = geometry.transform_from_parts([-40.0, 0.0, 0.0], np.eye(3))


class Scripted:
    """Stands in for a network that sees the parked car, and one far box it is not sure of."""

    name, config, image_device = "scripted", MODEL, torch.device("cpu")

    def __init__(self) -> None:
        self.frame_set = frame_set(0, size=SIZE)
        self.fails = False

    def run(self, inputs, memory):
        if self.fails:
            return DetectorOutputs(torch.full((1, 2, 10), torch.nan), torch.zeros(1, 2, 10)), None
        fixed_from_model = self.frame_set.fixed_from_base @ self.frame_set.base_from_model
        center = geometry.transform_points(geometry.inverse(fixed_from_model), PARKED[None])[0]
        codes = torch.zeros(1, 2, 10)
        codes[0, 0, :3] = torch.from_numpy(center)
        codes[0, 1, :3] = torch.tensor([30.0, 40.0, 0.0])
        codes[0, :, 3:6] = torch.tensor([4.5, 1.9, 1.6]).log()
        codes[0, :, 7] = 1.0
        logits = torch.full((1, 2, 10), -9.0)
        logits[0, :, 0] = torch.tensor([2.0, -2.2])
        return DetectorOutputs(logits, codes), None


class Drive:
    """A pipeline and the drive it sees."""

    def __init__(self, **config) -> None:
        self.backend = Scripted()
        config.setdefault("tracking", TrackingConfig())
        self.pipeline = StreamingPipeline(self.backend, PipelineConfig(**config))

    def step(self, one):
        self.backend.frame_set = one
        return self.pipeline.step(one)

    def steps(self, *indices: int):
        return [self.step(frame_set(index, size=SIZE)) for index in indices][-1]


@pytest.fixture
def drive():
    made = Drive()
    yield made
    made.pipeline.close()


def test_boxes_carry_the_identity_of_their_track(drive) -> None:
    result = drive.steps(0, 1, 2)
    assert result.tracks.frame == "base"
    assert result.tracks.stamp_ns == result.detections.stamp_ns
    assert result.tracks.ids.tolist() == [1]
    assert result.detections.track_ids[0] == 1
    assert not result.detections.track_ids[1:].any()
    assert result.tracks.ages == pytest.approx(1.0)
    np.testing.assert_allclose(
        result.tracks.boxes.centers[0], result.detections.boxes.centers[0], atol=0.2
    )


def test_a_parked_car_stands_though_the_vehicle_moves(drive) -> None:
    result = drive.steps(*range(6))
    assert np.hypot(*result.tracks.boxes.velocities[0]) < 0.3
    fixed_from_base = driving_pose(2.5)
    center_fixed = geometry.transform_points(fixed_from_base, result.tracks.boxes.centers)[0]
    np.testing.assert_allclose(center_fixed, PARKED, atol=0.2)
    # Distance is what cameras see worst, also after the ellipse was turned into the base frame.
    covariance = result.tracks.covariances[0]
    ray = result.tracks.boxes.centers[0, :2] / np.linalg.norm(result.tracks.boxes.centers[0, :2])
    across = np.array([-ray[1], ray[0]])
    planar = covariance[:2, :2]
    assert ray @ planar @ ray > across @ planar @ across


def test_without_a_tracker_there_are_no_identities() -> None:
    drive = Drive(tracking=None)
    result = drive.steps(0, 1, 2)
    assert result.detections.track_ids is None
    assert len(result.tracks) == 0


def test_weak_boxes_feed_tracks_though_they_are_not_published() -> None:
    drive = Drive(filters=FilterConfig(score_thresholds=(0.95,)))
    result = drive.steps(0, 1, 2)
    assert len(result.detections) == 0
    assert result.tracks.ids.tolist() == [1]


def test_tracks_keep_to_the_range() -> None:
    drive = Drive(filters=FilterConfig(range_max=(5.0, 100.0, 100.0)))
    assert len(drive.steps(0, 1).tracks) == 0
    # Behind the limit the car was followed all the same.
    assert drive.steps(2, 3, 4).tracks.ages == pytest.approx(2.0)


@pytest.mark.parametrize("reason", list(ResetReason))
def test_what_a_reset_does_to_tracks(drive, reason: ResetReason) -> None:
    drive.steps(0, 1, 2)
    drive.pipeline.reset(reason)
    result = drive.steps(3)
    assert result.reset_reason == reason
    kept = reason in (ResetReason.GAP, ResetReason.RIG_CHANGE)
    assert result.tracks.ids.tolist() == ([1] if kept else [2])


@pytest.mark.parametrize(
    ("later", "identity"),
    [
        (lambda: frame_set(7, size=SIZE), 1),
        (lambda: moved(frame_set(3, size=SIZE), np.eye(4), 4_000_000_000), 2),
        (lambda: replace(frame_set(3, size=SIZE), sequence="other"), 2),
        (lambda: frame_set(1, size=SIZE), 2),
        (lambda: moved(frame_set(3, size=SIZE), FAR_AWAY), 2),
        (lambda: without(frame_set(3, size=SIZE), "CAM_BACK"), 1),
    ],
    ids=["gap", "long gap", "other sequence", "stamp back", "pose jump", "camera missing"],
)
def test_which_events_end_tracks(drive, later, identity: int) -> None:
    drive.steps(0, 1, 2)
    assert drive.step(later()).detections.track_ids[0] == identity


def test_a_failed_set_leaves_no_trace_in_the_tracks(drive) -> None:
    undisturbed = Drive()
    for one in (drive, undisturbed):
        one.steps(0, 1)
    drive.pipeline.reset(ResetReason.MANUAL)
    drive.backend.fails = True
    with pytest.raises(UserError):
        drive.steps(2)
    drive.backend.fails = False
    undisturbed.pipeline.reset(ResetReason.MANUAL)
    ours, theirs = drive.steps(3, 4).tracks, undisturbed.steps(3, 4).tracks
    assert ours.ids.tolist() == theirs.ids.tolist() == [2]
    np.testing.assert_array_equal(ours.boxes.centers, theirs.boxes.centers)
    np.testing.assert_array_equal(ours.covariances, theirs.covariances)


def test_unknown_classes_are_refused_before_the_first_set() -> None:
    backend = Scripted()
    backend.config = replace(MODEL, class_names=("car", "tram"))
    with pytest.raises(ValueError, match="no settings for class tram"):
        StreamingPipeline(backend, PipelineConfig(tracking=TrackingConfig()))
