"""The world that the weights that ship were trained in: its pictures stay what they were.

Run as a script it writes the sheet anew, which `scene.WORLD_VERSION` has to say.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from streampetr_ros.synth.rig import RigOptions
from streampetr_ros.synth.scene import SceneOptions, SyntheticScene

SHEET = Path(__file__).with_name("known_pictures.png")
SCENES = [(3, 0.0, "left"), (8, 1.0, "fast"), (21, 0.5, None)]


def contact_sheet() -> np.ndarray:
    """Return six cameras side by side, pixels the mean of 8 x 8, two instants of each scene."""
    rows = []
    for seed, randomness, manoeuvre in SCENES:
        rig = RigOptions(width=128, height=72, randomness=randomness, seed=seed)
        options = SceneOptions(seed=seed, duration=3.0, rate=2.0, rig=rig, manoeuvre=manoeuvre)
        for index in (0, 5):
            cameras = SyntheticScene(options).frame_set(index).cameras
            strip = np.concatenate([camera.pixels for camera in cameras], axis=1)
            rows.append(strip.reshape(9, 8, 96, 8, 3).mean(axis=(1, 3)))
    return np.concatenate(rows).round().astype(np.uint8)


def test_pictures_are_those_of_the_shipped_weights():
    known = np.asarray(Image.open(SHEET)).astype(int)
    assert np.abs(known - contact_sheet()).max() <= 1


if __name__ == "__main__":
    Image.fromarray(contact_sheet()).save(SHEET)
