"""How fast pictures are rendered."""

from __future__ import annotations

import time

import torch

from streampetr_ros.synth.rig import RigOptions
from streampetr_ros.synth.scene import SceneOptions, SyntheticScene


def images_per_second(
    width: int, height: int, device: torch.device | str = "cpu", frame_sets: int = 12
) -> float:
    """Measure the rendering of whole frame sets, with their truth, spread over four scenes.

    Args:
        width: of the images, pixels.
        height: of the images, pixels.
        device: where to render.
        frame_sets: number of frame sets to measure; a first one per scene warms up.

    Returns:
        Camera images per second of wall time.
    """
    seeds = range(4)
    images, seconds = 0, 0.0
    for seed in seeds:
        rig = RigOptions(width=width, height=height)
        scene = SyntheticScene(SceneOptions(seed=seed, rig=rig), device)
        scene.frame_set(0)
        count = max(1, frame_sets // len(seeds))
        start = time.perf_counter()
        for index in range(1, 1 + count):
            images += len(scene.frame_set(index).cameras)
        seconds += time.perf_counter() - start
    return images / seconds
