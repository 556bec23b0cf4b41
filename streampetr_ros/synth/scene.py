"""A drive through a synthetic world, frame set by frame set, with exact truth.

The cameras fire one after the other, each picture showing the world at its own stamp; the reference
time of a set is the stamp of the newest picture, and the truth is exact at that time.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from streampetr_ros.core import geometry
from streampetr_ros.core.geometry import Array
from streampetr_ros.core.types import Boxes, CameraFrame, FrameSet, Truth
from streampetr_ros.nuscenes.car import BASE_FROM_NUSCENES_LIDAR
from streampetr_ros.synth.render.primitives import build_primitives
from streampetr_ros.synth.render.render import Pictures, render
from streampetr_ros.synth.render.shading import build_palette
from streampetr_ros.synth.render.stage import Poses, Stage
from streampetr_ros.synth.render.tiles import Lenses, build_lenses
from streampetr_ros.synth.rig import FIRING_OFFSETS_NS, RigOptions, build_rig
from streampetr_ros.synth.world.world import World, build_world

#: Changes whenever the same options give another picture or truth; part of the key of caches.
WORLD_VERSION = 2

_EPOCH_NS = 1_700_000_000 * 1_000_000_000
_SCENE_SPACING_NS = 1000 * 1_000_000_000
# An object is hidden if all cameras together see less of it than this, in units of squared focal
# lengths: about four pixels of a 352 x 128 image, whatever the size rendered.
_LEAST_VISIBLE_AREA = 5e-5
# Planar distance within which objects are annotated, metres.
_TRUTH_RANGE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneOptions:
    """A scene and how it is recorded.

    Attributes:
        seed: of the world.
        duration: seconds.
        rate: frame sets per second.
        rig: cameras; `rig.seed` is combined with `seed`.
        manoeuvre: of the ego vehicle, a name in `plan.MANOEUVRES`; None lets the seed choose.
    """

    seed: int = 0
    duration: float = 20.0
    rate: float = 2.0
    rig: RigOptions = field(default_factory=RigOptions)
    manoeuvre: str | None = None

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"scene seed {self.seed} must not be negative")
        if self.rate <= 0 or self.duration <= 0:
            raise ValueError(
                f"scene of {self.duration} s at {self.rate} Hz must have a positive length and rate"
            )


class SyntheticScene:
    """Random access to the frame sets of one scene.

    Args:
        options: what to render.
        device: where to render; pictures come back to the CPU.

    Attributes:
        options: as given.
        calibrations: of the cameras.
    """

    def __init__(self, options: SceneOptions, device: torch.device | str = "cpu") -> None:
        self.options = options
        self._device = device
        seed = int(np.random.default_rng([options.seed, options.rig.seed]).integers(2**31))
        self.calibrations = build_rig(replace(options.rig, seed=seed))
        self._start_ns = _EPOCH_NS + options.seed * _SCENE_SPACING_NS

    @cached_property
    def world(self) -> World:
        """The world, built when first needed."""
        duration = self.options.duration + 0.1
        return build_world(self.options.seed, duration, self.options.manoeuvre)

    @cached_property
    def _stage(self) -> Stage:
        world = self.world
        table = build_primitives(world.shapes, world.sizes, world.palettes).to(self._device)
        palette = build_palette(world.light, world.ground, self._device)
        return Stage(table, palette, world.grid, world.light)

    @cached_property
    def _lenses(self) -> Lenses:
        return build_lenses(self.calibrations, self._device)

    @property
    def name(self) -> str:
        """Name of the scene."""
        return f"synthetic-{self.options.seed:06d}"

    def __len__(self) -> int:
        return max(1, int(self.options.duration * self.options.rate))

    @property
    def object_count(self) -> int:
        """Number of labelled objects in the whole scene."""
        return len(self.world.class_names)

    def camera_stamps_ns(self, index: int) -> tuple[int, ...]:
        """Return when each camera takes the pictures of a frame set, integer nanoseconds."""
        cycle = self._start_ns + round(index * 1e9 / self.options.rate)
        return tuple(cycle + offset for offset in FIRING_OFFSETS_NS)

    def seconds(self, stamp_ns: int) -> float:
        """Return the time since the start of the scene."""
        return (stamp_ns - self._start_ns) * 1e-9

    def fixed_from_base(self, stamp_ns: int) -> Array:
        """Return the (4, 4) pose of the ego vehicle in the fixed frame."""
        return self.world.fixed_from_layout @ self.world.layout_from_base(self.seconds(stamp_ns))

    def pictures(self, index: int) -> Pictures:
        """Render the cameras of a frame set, with what they see at every pixel."""
        seconds = np.array([self.seconds(stamp) for stamp in self.camera_stamps_ns(index)])
        centers, instant = self.world.bodies_at(seconds)
        mounts = [calibration.base_from_camera for calibration in self.calibrations]
        layout_from_camera = np.stack(
            [self.world.layout_from_base(s) @ m for s, m in zip(seconds, mounts, strict=True)]
        )
        rng = np.random.default_rng([self.options.seed, index, 0xA11])
        poses = Poses(
            layout_from_camera=layout_from_camera,
            centers=centers,
            yaws=instant.yaws,
            gains=rng.uniform(0.92, 1.08, len(seconds)),
            noise_seed=int(rng.integers(2**31)),
        )
        return render(self._stage, self._lenses, poses)

    def frame_set(self, index: int) -> FrameSet:
        """Render one frame set with its truth."""
        if not 0 <= index < len(self):
            raise IndexError(f"scene {self.name} has no frame set {index}, only {len(self)}")
        pictures = self.pictures(index)
        stamps = self.camera_stamps_ns(index)
        pixels = pictures.images.cpu().numpy()
        reference = max(stamps)
        return FrameSet(
            stamp_ns=reference,
            cameras=tuple(
                CameraFrame(
                    calibration=calibration,
                    stamp_ns=stamp,
                    pixels=pixels[view],
                    fixed_from_base=self.fixed_from_base(stamp),
                )
                for view, (calibration, stamp) in enumerate(
                    zip(self.calibrations, stamps, strict=True)
                )
            ),
            fixed_from_base=self.fixed_from_base(reference),
            base_from_model=BASE_FROM_NUSCENES_LIDAR,
            sequence=self.name,
            token=f"{self.name}-{index:04d}",
            truth=self.truth(reference, self.visibilities(pictures)),
        )

    def visibilities(self, pictures: Pictures) -> Array:
        """Return the visible share of every labelled object over all cameras."""
        count = self.object_count
        covered = pictures.coverage.double().cpu().numpy()[:, :count].sum(0)
        seen = pictures.visible.double().cpu().numpy()[:, :count]
        focal = np.array([c.intrinsic[0, 0] for c in self.calibrations])
        area = (seen / focal[:, None] ** 2).sum(0)
        share = seen.sum(0) / np.maximum(covered, 1.0)
        return np.where(area >= _LEAST_VISIBLE_AREA, np.minimum(share, 1.0), 0.0)

    def truth(self, stamp_ns: int, visibilities: Array) -> Truth:
        """Return the objects in range, base frame, at a time.

        Args:
            stamp_ns: integer nanoseconds.
            visibilities: of every labelled object of the world.
        """
        world, count = self.world, self.object_count
        centers, instant = world.bodies_at(np.array([self.seconds(stamp_ns)]))
        boxes_layout = Boxes(
            centers=centers[0, :count],
            sizes=world.sizes[:count],
            yaws=instant.yaws[0, :count],
            velocities=instant.velocities[0, :count],
        )
        base_from_layout = geometry.inverse(world.layout_from_base(self.seconds(stamp_ns)))
        boxes = boxes_layout.transformed(base_from_layout)
        distance = np.hypot(boxes.centers[:, 0], boxes.centers[:, 1])
        kept = np.flatnonzero(distance <= _TRUTH_RANGE)
        return Truth(
            boxes=boxes.selected(kept),
            class_names=tuple(world.class_names[index] for index in kept),
            instance_ids=kept.astype(np.int64),
            visibilities=visibilities[kept],
        )
