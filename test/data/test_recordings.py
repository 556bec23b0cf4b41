"""Real recordings open as frame sets with plausible content."""

import itertools

import numpy as np
import pytest
from folder import DATA, DDAD, MINI_VAL, NUSCENES, needs_data

from streampetr_ros.core import geometry
from streampetr_ros.pipeline.memory_policy import MemoryPolicyConfig, advance, plan_step
from streampetr_ros.sources import SourceError, open_source

pytestmark = needs_data


@pytest.mark.parametrize("name", NUSCENES)
def test_nuscenes_frames_are_staggered(name):
    (frame_set,) = open_source(DATA / name)
    stamps = {frame.calibration.name: frame.stamp_ns for frame in frame_set.cameras}
    assert next(iter(stamps)) == "CAM_FRONT"
    assert frame_set.stamp_ns == stamps["CAM_BACK_LEFT"] == max(stamps.values())
    assert 40e6 < frame_set.stamp_ns - min(stamps.values()) < 45e6
    assert {frame.pixels.shape for frame in frame_set.cameras} == {(900, 1600, 3)}
    assert len(frame_set.truth.boxes) >= 30


def test_ddad_drives_forward_at_twelve_metres_per_second():
    frames = list(open_source(DATA / DDAD))
    assert len({frame_set.sequence for frame_set in frames}) == 1
    for before, after in itertools.pairwise(frames):
        seconds = (after.stamp_ns - before.stamp_ns) * 1e-9
        moved = geometry.inverse(before.fixed_from_base) @ after.fixed_from_base
        np.testing.assert_allclose(moved[:3, 3] / seconds, [12.6, 0.0, 0.0], atol=0.3)


def test_instances_of_ddad_move_smoothly_in_the_fixed_frame():
    tracks: dict[int, list[np.ndarray]] = {}
    for frame_set in open_source(DATA / DDAD):
        boxes = frame_set.truth.boxes.transformed(frame_set.fixed_from_base)
        for row, instance in enumerate(frame_set.truth.instance_ids):
            tracks.setdefault(int(instance), []).append(boxes.centers[row])
    for track in tracks.values():
        steps = np.linalg.norm(np.diff(track, axis=0), axis=1)
        assert (steps < 3.0).all()


def test_a_long_drive_never_resets_and_ages_as_it_should():
    history, config = None, MemoryPolicyConfig()
    for index, frame_set in enumerate(open_source(DATA / MINI_VAL, need_pixels=False)):
        plan = plan_step(history, frame_set, config, 0.5)
        assert (plan.reset_reason is None) == (index > 0)
        assert plan.writes_memory
        history = advance(history, frame_set, plan)
    assert history.steps == 40


def test_poses_and_boxes_alone_are_refused_where_pixels_are_needed():
    with pytest.raises(SourceError, match="no images"):
        open_source(DATA / MINI_VAL)
