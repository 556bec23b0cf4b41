"""The synthetic world as a source of frame sets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from streampetr_ros.core.types import FrameSet
from streampetr_ros.synth.rig import RigOptions
from streampetr_ros.synth.scene import SceneOptions, SyntheticScene

#: How a scene is recorded when nothing else is asked for: 20 s at 10 Hz by cameras that fire one
#: after the other, half as large again as what the smallest network looks at.
DEFAULT_OPTIONS = SceneOptions(rate=10.0, rig=RigOptions(width=528, height=297))


class SyntheticSource:
    """Scenes of consecutive seeds, one after the other.

    Args:
        seed: of the first scene.
        options: how scenes are recorded; their own seed is ignored. None: `DEFAULT_OPTIONS`.
        scenes: number of scenes; each has its own `FrameSet.sequence`.
    """

    def __init__(self, seed: int = 0, options: SceneOptions | None = None, scenes: int = 1) -> None:
        chosen = DEFAULT_OPTIONS if options is None else options
        self._seed = seed
        self._scenes = [
            SyntheticScene(replace(chosen, seed=seed + index)) for index in range(scenes)
        ]

    @property
    def name(self) -> str:
        """Short name for titles and file names."""
        return f"synthetic-{self._seed}"

    def __len__(self) -> int:
        return sum(len(scene) for scene in self._scenes)

    def __iter__(self) -> Iterator[FrameSet]:
        return self.frame_sets()

    def frame_sets(self, every: int = 1) -> Iterator[FrameSet]:
        """Yield the first of every so many frame sets of each scene; only these are rendered."""
        for scene in self._scenes:
            for index in range(0, len(scene), every):
                yield scene.frame_set(index)
