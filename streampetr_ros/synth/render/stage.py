"""A scene as the renderer sees it: what never changes, and where everything is at an instant.

Shapes: V views, N bodies.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from streampetr_ros.core.geometry import Array
from streampetr_ros.synth.render.primitives import PrimitiveTable
from streampetr_ros.synth.render.shading import Palette
from streampetr_ros.synth.world.scenery import Lighting, RoadGrid


class Stage(NamedTuple):
    """Everything about a scene that does not change with time.

    Attributes:
        table: frusta of N bodies.
        palette: colors and light.
        grid: streets.
        light: haze, exposure and noise.
    """

    table: PrimitiveTable
    palette: Palette
    grid: RoadGrid
    light: Lighting


class Poses(NamedTuple):
    """Where cameras and bodies are when each picture is taken.

    Attributes:
        layout_from_camera: (V, 4, 4) float64.
        centers: (V, N, 3) float64 gravity centers, layout frame.
        yaws: (V, N) float64.
        gains: (V,) brightness of each camera.
        noise_seed: of the pixel noise.
    """

    layout_from_camera: Array
    centers: Array
    yaws: Array
    gains: Array
    noise_seed: int


class Setup(NamedTuple):
    """Poses in float32 on the device, relative to `origin`.

    Attributes:
        rotations: (V, 3, 3) layout_from_camera.
        eyes: (V, 3) camera positions.
        centers: (V, N, 3) of the bodies.
        turns: (V, N, 2) cosine and sine of their yaws.
        distances: (V, N) from camera to body, metres.
        origin: (3,) float64, a layout point.
    """

    rotations: Tensor
    eyes: Tensor
    centers: Tensor
    turns: Tensor
    distances: Tensor
    origin: Array


def place_in_view(poses: Poses, device: torch.device) -> Setup:
    """Round poses to float32 after moving the origin next to the first camera."""
    eyes = poses.layout_from_camera[:, :3, 3]
    origin = np.append(eyes[0, :2], 0.0)
    eyes, centers = eyes - origin, poses.centers - origin
    turns = np.stack([np.cos(poses.yaws), np.sin(poses.yaws)], axis=-1)
    distances = np.linalg.norm(centers - eyes[:, None], axis=-1)
    rotations = poses.layout_from_camera[:, :3, :3]
    parts = (rotations, eyes, centers, turns, distances)
    rounded = (torch.as_tensor(np.float32(part), device=device) for part in parts)
    return Setup._make((*rounded, origin))


def camera_from_body(setup: Setup) -> Tensor:
    """Return (V, N, 3, 4)."""
    camera_from_layout = setup.rotations.mT[:, None]
    cosine, sine = setup.turns.unbind(-1)
    zero, one = torch.zeros_like(sine), torch.ones_like(sine)
    layout_from_body = torch.stack([cosine, -sine, zero, sine, cosine, zero, zero, zero, one], -1)
    rotation = camera_from_layout @ layout_from_body.unflatten(-1, (3, 3))
    offset = (setup.centers - setup.eyes[:, None])[..., None]
    return torch.cat([rotation, camera_from_layout @ offset], dim=-1)
