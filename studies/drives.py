"""Drives as stamps, poses and truth, for work that needs trajectories but no pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, pairwise

import numpy as np
from transforms3d.quaternions import mat2quat

from streampetr_ros.core import geometry
from streampetr_ros.core.types import Boxes, FrameSet, Truth
from streampetr_ros.ingest.transforms.poses import interpolate, to_matrix
from streampetr_ros.nuscenes.car import BASE_FROM_NUSCENES_LIDAR
from streampetr_ros.synth.scene import SceneOptions, SyntheticScene


def synthetic_drive(seed: int, duration: float = 20.0, rate: float = 2.0) -> list[FrameSet]:
    """Take the trajectories of a scene of the synthetic world without rendering it.

    Args:
        seed: of the scene.
        duration: seconds.
        rate: frame sets per second.
    """
    scene = SyntheticScene(SceneOptions(seed=seed, duration=duration, rate=rate))
    visible = np.ones(len(scene.world.class_names))
    frame_sets = []
    for index in range(len(scene)):
        stamp_ns = max(scene.camera_stamps_ns(index))
        frame_sets.append(
            FrameSet(
                stamp_ns=stamp_ns,
                cameras=(),
                fixed_from_base=scene.fixed_from_base(stamp_ns),
                base_from_model=BASE_FROM_NUSCENES_LIDAR,
                sequence=scene.name,
                token=f"{scene.name}-{index:04d}",
                truth=scene.truth(stamp_ns, visible),
            )
        )
    return frame_sets


def densified(frame_sets: Sequence[FrameSet], factor: int) -> list[FrameSet]:
    """Put interpolated frame sets between those of every scene: a faster stream of the same drive.

    Args:
        frame_sets: with truth; those of a scene in a row.
        factor: so many times the rate. The given frame sets stay as they are.
    """
    dense: list[FrameSet] = []
    for _, members in groupby(frame_sets, key=lambda frame_set: frame_set.sequence):
        scene = list(members)
        for before, after in pairwise(scene):
            steps = [_between(before, after, step / factor) for step in range(1, factor)]
            dense += [before, *steps]
        dense.append(scene[-1])
    return dense


def _between(before: FrameSet, after: FrameSet, fraction: float) -> FrameSet:
    elapsed_ns = after.stamp_ns - before.stamp_ns
    start, end = (
        (*pose[:3, 3], *mat2quat(pose[:3, :3]))
        for pose in (before.fixed_from_base, after.fixed_from_base)
    )
    fixed_from_base = to_matrix(interpolate(start, end, fraction))
    return replace(
        before,
        stamp_ns=before.stamp_ns + round(fraction * elapsed_ns),
        fixed_from_base=fixed_from_base,
        token=f"{before.token}+{fraction:.3f}",
        truth=_truth_between(before, after, fraction, geometry.inverse(fixed_from_base)),
    )


def _truth_between(
    before: FrameSet, after: FrameSet, fraction: float, base_from_fixed: geometry.Array
) -> Truth:
    """Interpolate the objects that both frame sets contain."""
    first, last = before.truth, after.truth
    if first is None or last is None:
        raise ValueError(f"frame set '{before.token}' or the next has no truth to interpolate")
    places = {key: index for index, key in enumerate(_keys(last))}
    pairs = [(i, places[key]) for i, key in enumerate(_keys(first)) if key in places]
    starts, ends = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    a = first.boxes.selected(starts).transformed(before.fixed_from_base)
    b = last.boxes.selected(ends).transformed(after.fixed_from_base)
    boxes_fixed = Boxes(
        centers=a.centers + fraction * (b.centers - a.centers),
        sizes=a.sizes,
        yaws=geometry.wrap_angle(a.yaws + fraction * geometry.wrap_angle(b.yaws - a.yaws)),
        velocities=a.velocities + fraction * (b.velocities - a.velocities),
    )
    return Truth(
        boxes=boxes_fixed.transformed(base_from_fixed),
        class_names=tuple(first.class_names[index] for index in starts),
        instance_ids=first.instance_ids[starts],
        visibilities=first.visibilities[starts],
    )


def _keys(truth: Truth) -> list[tuple[str, int]]:
    return list(zip(truth.class_names, truth.instance_ids.tolist(), strict=True))
