"""Sequences of the synthetic world for training, rendered once and kept in a cache."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from streampetr_ros.core.config import to_mapping
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import FrameSet
from streampetr_ros.model.config import ImageConfig
from streampetr_ros.synth.rig import RigOptions
from streampetr_ros.synth.scene import WORLD_VERSION, SceneOptions, SyntheticScene
from streampetr_ros.training.config import DataConfig
from streampetr_ros.training.data.frame_cache import CachedSequence, is_cached, write_sequence

#: Frame sets are picked from a scene of this rate, so intervals are multiples of its period.
_RATE = 20.0
#: Sequences whose metadata and file handles are kept open.
_OPEN_SEQUENCES = 64


class SyntheticSequences:
    """Synthetic sequences at network size, a function of the configuration alone.

    Sequence i has seed ``first_seed + i``; its frame interval is drawn from ``intervals``.

    Args:
        data: number, length and intervals of the sequences, and the cache folder.
        image: size to render.
    """

    def __init__(self, data: DataConfig, image: ImageConfig) -> None:
        self._data = data
        self._image = image
        self._folder = Path(data.cache) / _fingerprint(data, image) if data.cache else None
        self._open = lru_cache(maxsize=_OPEN_SEQUENCES)(self._sequence)

    def lengths(self) -> list[int]:
        """Return the number of frames of every sequence."""
        return [self._data.frames] * self._data.sequences

    def frame_set(self, sequence: int, frame: int) -> FrameSet:
        """Return one frame set; renders its whole sequence when it is not cached."""
        return self._open(sequence)[frame]

    def render(self, sequence: int) -> list[FrameSet]:
        """Render a sequence: half of them at a steady rate, half with changing intervals."""
        data = self._data
        seed = data.first_seed + sequence
        rng = np.random.default_rng((seed, 0x7EA1))
        intervals = rng.choice(data.intervals, data.frames - 1)
        if rng.random() < 0.5:
            intervals[:] = intervals[0]
        steps = np.maximum(np.rint(intervals * _RATE), 1).astype(int)
        indices = np.concatenate([[0], np.cumsum(steps)])
        rig = RigOptions(
            width=self._image.width * data.oversampling,
            height=self._image.height * data.oversampling,
            randomness=data.rig_randomness * max(0.0, rng.uniform(-1.0, 1.0)),
            seed=seed,
        )
        duration = (int(indices[-1]) + 1) / _RATE
        scene = SyntheticScene(SceneOptions(seed=seed, duration=duration, rate=_RATE, rig=rig))
        return [_shrunk(scene.frame_set(int(i)), data.oversampling) for i in indices]

    def _sequence(self, sequence: int) -> CachedSequence | list[FrameSet]:
        if self._folder is None:
            return self.render(sequence)
        name = f"{self._data.first_seed + sequence:07d}"
        try:
            if not is_cached(self._folder, name):
                write_sequence(self._folder, name, self.render(sequence))
            return CachedSequence(self._folder, name)
        except OSError as error:
            raise UserError(
                f"cannot keep rendered frames in '{self._folder}' ({error.strerror or error}); "
                "free some space or choose another data.cache"
            ) from error
        except (ValueError, EOFError, BadZipFile) as error:
            raise UserError(
                f"rendered frames '{self._folder / name}.npz' are damaged ({error}); delete the "
                "files of that name"
            ) from error


def _fingerprint(data: DataConfig, image: ImageConfig) -> str:
    """Name a cache folder after everything that shapes a sequence."""
    fields = ("frames", "intervals", "oversampling", "rig_randomness")
    content = {name: to_mapping(getattr(data, name)) for name in fields}
    content["size"] = [image.width, image.height]
    content["world"] = WORLD_VERSION
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return f"{image.width}x{image.height}-{digest[:10]}"


def _shrunk(frame_set: FrameSet, factor: int) -> FrameSet:
    """Reduce the images by an integer factor, as preprocessing reduces those of a real camera."""
    if factor == 1:
        return frame_set
    cameras = []
    for camera in frame_set.cameras:
        lens = camera.calibration
        width, height = lens.width // factor, lens.height // factor
        intrinsic = np.diag([1.0 / factor, 1.0 / factor, 1.0]) @ lens.intrinsic
        lens = replace(lens, width=width, height=height, intrinsic=intrinsic)
        pixels = np.asarray(Image.fromarray(camera.pixels).resize((width, height)))
        cameras.append(replace(camera, pixels=pixels, calibration=lens))
    return replace(frame_set, cameras=tuple(cameras))
