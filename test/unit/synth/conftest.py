"""A small scene, rendered once for all tests of this folder."""

from __future__ import annotations

import pytest

from streampetr_ros.synth.render.render import Pictures
from streampetr_ros.synth.rig import RigOptions
from streampetr_ros.synth.scene import SceneOptions, SyntheticScene


@pytest.fixture(scope="session")
def scene() -> SyntheticScene:
    rig = RigOptions(width=352, height=128)
    return SyntheticScene(SceneOptions(seed=5, duration=6.0, rate=2.0, rig=rig))


@pytest.fixture(scope="session")
def pictures(scene: SyntheticScene) -> Pictures:
    return scene.pictures(4)
