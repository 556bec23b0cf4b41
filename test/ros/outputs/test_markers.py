"""Markers: what they show, how long they stay, which ones go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2")
pytest.importorskip("streampetr_ros.msg", reason="needs the built messages")

from test_conversions import EPOCH_NS, detections, tracks
from visualization_msgs.msg import Marker

from streampetr_ros.core import geometry
from streampetr_ros.messages.marker_scene import MarkerLife, MarkerScene
from streampetr_ros.messages.markers import (
    MarkerPen,
    detection_figures,
    track_figures,
)
from streampetr_ros.ros.messages import types
from streampetr_ros.viz.trails import Trails

PEN = MarkerPen(types, EPOCH_NS, "base_link", 0.5)
SECOND = 1_000_000_000


def marker_of(markers: list[Marker], namespace: str) -> Marker:
    found = [marker for marker in markers if marker.ns == namespace]
    assert len(found) == 1
    return found[0]


def identities(markers: list[Marker]) -> set[tuple[str, int]]:
    return {(marker.ns, marker.id) for marker in markers}


def test_markers_have_their_own_identity_and_a_valid_pose() -> None:
    markers = PEN.objects(detection_figures(detections()))
    assert all(marker.header.frame_id == "base_link" for marker in markers)
    assert all(marker.lifetime.nanosec == 500_000_000 for marker in markers)
    assert all(marker.pose.orientation.w == 1.0 for marker in markers)
    assert len(identities(markers)) == len(markers)


def test_one_line_list_per_class_on_the_box_edges() -> None:
    found = detections()
    markers = PEN.objects(detection_figures(found))
    outlines = [marker for marker in markers if marker.type == Marker.LINE_LIST]
    assert [marker.ns for marker in outlines] == ["car/boxes", "pedestrian/boxes"]
    assert all(len(marker.points) == len(marker.colors) == 24 for marker in outlines)
    ends = np.array([[p.x, p.y, p.z] for p in outlines[0].points])
    corners = found.selected(found.labels == 1).boxes.corners()[0]
    assert all(np.abs(corners - end).sum(axis=1).min() < 1e-9 for end in ends)


def test_arrows_and_texts() -> None:
    markers = PEN.objects(detection_figures(detections()))
    start, tip = marker_of(markers, "car/heading").points
    assert np.arctan2(tip.y - start.y, tip.x - start.x) == pytest.approx(3.0)
    assert np.hypot(tip.y - start.y, tip.x - start.x) == pytest.approx(2.25)
    velocity = [marker for marker in markers if marker.ns.endswith("/velocity")]
    assert [marker.ns for marker in velocity] == ["car/velocity"]
    start, tip = velocity[0].points
    assert (tip.x - start.x, tip.y - start.y) == pytest.approx((8.0, -0.5))
    texts = [marker.text for marker in markers if marker.type == Marker.TEXT_VIEW_FACING]
    assert sorted(texts) == ["car 0.75", "pedestrian 0.50"]


def test_tracks_keep_their_marker_and_name_their_identity() -> None:
    markers = PEN.objects(track_figures(tracks()))
    assert marker_of(markers, "car/heading").id == 7
    assert marker_of(markers, "car/label").text == "car 7 0.90"
    reordered = tracks().selected(np.array([1, 0]))
    assert identities(PEN.objects(track_figures(reordered))) == identities(markers)
    large = replace(tracks(), ids=np.array([2**31 + 5, 4]))
    assert marker_of(PEN.objects(track_figures(large)), "car/heading").id == 5


def test_colors_by_class_or_track_and_pale_when_unseen() -> None:
    two_cars = replace(tracks(), labels=np.array([1, 1]))
    by_class, by_track = (track_figures(two_cars, by).colors for by in ("class", "track"))
    assert by_class[0][:3] == by_class[1][:3]
    assert by_track[0][:3] != by_track[1][:3]
    seen, unseen = by_track
    assert seen[3] == 1.0
    assert unseen[3] < 0.5


def test_what_is_gone_is_deleted_and_a_reset_deletes_all() -> None:
    scene = MarkerScene(types)
    both = PEN.objects(track_figures(tracks()))
    car_only = PEN.objects(track_figures(tracks().selected(np.array([0]))))
    first = scene.update(both, PEN).markers
    assert first[0].action == Marker.DELETEALL
    second = scene.update(car_only, PEN).markers
    gone = [marker for marker in second if marker.action == Marker.DELETE]
    assert identities(gone) == identities(both) - identities(car_only)
    assert not any(marker.action == Marker.DELETEALL for marker in second)
    assert [marker.action for marker in scene.update(car_only, PEN).markers] == [0] * len(car_only)
    # Nobody looked at the set of the reset; the next array tells all the same.
    scene.note_restart(True)
    scene.note_restart(False)
    assert scene.update([], PEN).markers[0].action == Marker.DELETEALL
    assert scene.update([], PEN).markers == []


@pytest.mark.parametrize("interval", [0.05, 0.5, 2.5])
def test_markers_outlive_the_next_results(interval: float) -> None:
    """Also at rates at which every set resets the memory, and when a few sets are lost."""
    life = MarkerLife()
    lives = [life.after(round(index * interval * 1e9)) for index in range(6)]
    assert lives[0] >= 2.0 * interval
    assert all(value >= min(3.0 * interval, 20.0) for value in lives[1:])
    assert lives[-1] <= max(0.5, 4.0 * interval)


def test_irregular_rates_follow_the_longest_pause_and_a_jump_back_is_no_interval() -> None:
    life = MarkerLife()
    for stamp in (0, SECOND, SECOND + 100_000_000):
        seconds = life.after(stamp)
    assert seconds == pytest.approx(4.0)
    assert life.after(0) == pytest.approx(4.0)


def test_trails_stay_in_the_fixed_frame() -> None:
    """The vehicle drives ahead at 10 m/s behind a car of the same speed; a pedestrian waits."""
    trails = Trails()
    for index in range(4):
        now = replace(tracks(), stamp_ns=EPOCH_NS + index * SECOND)
        now.boxes.centers[1, 0] = 20.0 - 10.0 * index
        fixed_from_base = geometry.transform_from_parts([10.0 * index, 0.0, 0.0], np.eye(3))
        places = trails.update(now, fixed_from_base, 2.5)
    car, pedestrian = places
    start = tracks().boxes.centers[0]
    np.testing.assert_allclose(car[:, 0] - start[0], [10.0, 20.0, 30.0])
    np.testing.assert_allclose(car[:, 2], start[2] - 0.5 * tracks().boxes.sizes[0, 2])
    assert len(pedestrian) == 1, "what stands has no trail"
    lines = PEN.trails(places[:1], track_figures(tracks()).colors[:1])[0]
    assert len(lines.points) == len(lines.colors) == 4
    assert lines.colors[0].a < lines.colors[-1].a
    assert PEN.trails(places[1:], track_figures(tracks()).colors[1:]) == []
    trails.update(now.selected(np.array([1])), fixed_from_base, 2.5)
    back = trails.update(now, fixed_from_base, 2.5)
    assert len(back[0]) == 1, "a trail does not survive its track"


def test_a_repeated_stamp_is_no_interval() -> None:
    life = MarkerLife()
    assert [life.after(stamp) for stamp in (SECOND, SECOND, 0)] == [5.0, 5.0, 5.0]


@pytest.mark.parametrize(("speed", "arrows"), [(0.5, 1), (0.49, 0)])
def test_the_slowest_object_with_a_velocity_arrow(speed: float, arrows: int) -> None:
    found = detections()
    velocities = np.tile([0.0, -speed], (len(found), 1))
    found = replace(found, boxes=replace(found.boxes, velocities=velocities))
    names = [marker.ns for marker in PEN.objects(detection_figures(found))]
    assert names.count("car/velocity") == arrows


def test_labels_lie_above_boxes_and_headings_end_at_noses() -> None:
    found = detections()
    boxes = found.selected(found.labels == 1).boxes
    markers = PEN.objects(detection_figures(found))
    place = marker_of(markers, "car/label").pose.position
    top = boxes.centers[0] + [0.0, 0.0, 0.5 * boxes.sizes[0, 2] + 0.4]
    np.testing.assert_allclose((place.x, place.y, place.z), top)
    ahead = 0.5 * boxes.sizes[0, 0] * np.array([np.cos(boxes.yaws[0]), np.sin(boxes.yaws[0]), 0])
    ends = [(p.x, p.y, p.z) for p in marker_of(markers, "car/heading").points]
    np.testing.assert_allclose(ends, [boxes.centers[0], boxes.centers[0] + ahead])


def test_trails_fade_in_equal_steps() -> None:
    trail = np.column_stack([np.arange(5.0), np.zeros(5), np.zeros(5)])
    (lines,) = PEN.trails([trail], [(1.0, 0.0, 0.0, 0.5)])
    assert [ink.a for ink in lines.colors[::2]] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert [point.x for point in lines.points] == [0, 1, 1, 2, 2, 3, 3, 4]
