"""Print how fast the synthetic world is rendered on this machine, with its truth.

Images per second of wall time at four sizes:

    python studies/render_speed.py --device cpu
"""

from __future__ import annotations

import argparse
import time

import torch

from streampetr_ros.synth.rig import RigOptions
from streampetr_ros.synth.scene import SceneOptions, SyntheticScene

SIZES = ((352, 128), (528, 297), (704, 256), (800, 450))


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


def main() -> None:
    """Measure the usual image sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu", help="torch device")
    parser.add_argument("--frame-sets", type=int, default=12, help="frame sets per size")
    options = parser.parse_args()
    for width, height in SIZES:
        speed = images_per_second(width, height, options.device, options.frame_sets)
        print(f"{width}x{height}: {speed:.1f} images per second on {options.device}")


if __name__ == "__main__":
    main()
