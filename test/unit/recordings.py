"""Writes small recordings in the frame.json format for tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from transforms3d.quaternions import mat2quat

from streampetr_ros.core.types import FrameSet

LIDAR_LAG_NS = 1_000_000


def pose_json(transform: np.ndarray) -> dict:
    return {
        "translation": transform[:3, 3].tolist(),
        "rotation_wxyz": mat2quat(transform[:3, :3]).tolist(),
    }


def frame_json(frame_set: FrameSet, fixed_from_base_lidar: np.ndarray, boxes=()) -> dict:
    """A frame whose LiDAR fires one millisecond after the reference time."""
    cameras = {}
    for frame in frame_set.cameras:
        camera = frame.calibration
        cameras[camera.name] = {
            "file": f"{camera.name}.png",
            "timestamp_us": frame.stamp_ns // 1000,
            "width": camera.width,
            "height": camera.height,
            "intrinsic": camera.intrinsic.tolist(),
            "sensor2ego": pose_json(camera.base_from_camera),
            "ego2global": pose_json(frame.fixed_from_base),
        }
    stamp_us = (frame_set.stamp_ns + LIDAR_LAG_NS) // 1000
    return {
        "schema": "multicam_frame/1",
        "scene": frame_set.sequence,
        "timestamp_us": stamp_us,
        "lidar": {
            "timestamp_us": stamp_us,
            "lidar2ego": pose_json(frame_set.base_from_model),
            "ego2global": pose_json(fixed_from_base_lidar),
        },
        "cameras": cameras,
        "boxes": list(boxes),
    }


def write_recording(
    folder: Path, frame_set: FrameSet, fixed_from_base_lidar: np.ndarray | None = None, boxes=()
) -> Path:
    """Write frame.json and images; returns the file."""
    folder.mkdir(parents=True)
    if fixed_from_base_lidar is None:
        fixed_from_base_lidar = frame_set.fixed_from_base
    content = frame_json(frame_set, fixed_from_base_lidar, boxes)
    for frame in frame_set.cameras:
        Image.fromarray(frame.pixels).save(folder / f"{frame.calibration.name}.png")
    file = folder / "frame.json"
    file.write_text(json.dumps(content))
    return file
