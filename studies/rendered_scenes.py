"""Scenes of the synthetic world that stay rendered, and rows of tables that stay judged."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streampetr_ros.core.files import replacing, sha256
from streampetr_ros.core.types import FrameSet
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.synth.scene import WORLD_VERSION
from streampetr_ros.training.config import DataConfig
from streampetr_ros.training.data.synthetic_data import SyntheticSequences


@dataclass(frozen=True, slots=True)
class Scenes:
    """Scenes with images as training has them: rendered at twice the network's size and reduced.

    Cameras fire one after the other within 43 ms, as in the 12 Hz capture of nuScenes.

    Attributes:
        data: number, length and cache of the scenes.
        image: network size.
    """

    data: DataConfig
    image: ImageConfig

    def __call__(self, scene: str, every: int) -> Iterator[FrameSet]:
        """Yield one of every so many frame sets of a scene, rendering it when it is not cached."""
        source = SyntheticSequences(self.data, self.image)
        for frame in range(0, self.data.frames, every):
            yield source.frame_set(int(scene), frame)

    def names(self) -> list[str]:
        """Return the scenes as `SceneJob` takes them."""
        return [str(index) for index in range(self.data.sequences)]


def rendered_scenes(
    folder: Path, seeds: tuple[int, int], frames: int, interval: float, image: ImageConfig
) -> Scenes:
    """Return scenes that are rendered once.

    Args:
        folder: of kept work.
        seeds: first and last seed.
        frames: frame sets of every scene.
        interval: seconds between them.
        image: network size.
    """
    data = DataConfig(
        cache=str(folder / "scenes"),
        sequences=seeds[1] - seeds[0] + 1,
        first_seed=seeds[0],
        frames=frames,
        intervals=(interval,),
        oversampling=2,
        rig_randomness=0.0,
    )
    return Scenes(data, image)


def kept_row(
    file: Path, weights: Path, settings: Mapping[str, Any], judge: Callable[[], Any]
) -> dict[str, Any]:
    """Judge a row, unless its file holds the outcome of the same weights, world and settings.

    Args:
        file: of the row.
        weights: judged.
        settings: everything else that the outcome depends on.
        judge: returns the outcome, a dataclass.

    Returns:
        The outcome as plain values.
    """
    content = {"weights": sha256(weights), "world": WORLD_VERSION, **settings}
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    stored: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.exists() else {}
    if stored.get("key") != key:
        stored = {"key": key, "outcome": dataclasses.asdict(judge())}
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(stored, indent=2), encoding="utf-8")
    outcome: dict[str, Any] = stored["outcome"]
    return outcome


def seed_range(text: str) -> tuple[int, int]:
    """Read FIRST-LAST, both included, or a single seed."""
    first, _, last = text.partition("-")
    return int(first), int(last or first)
