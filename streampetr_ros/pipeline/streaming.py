"""From frame set to boxes: `StreamingPipeline.step` is the whole story.

The network holds weights only; the object memory and the history it belongs to live here and are
replaced together at the end of a successful step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from streampetr_ros.backends.base import Backend
from streampetr_ros.core import geometry
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.timing import StageClock
from streampetr_ros.core.types import CameraFrame, Detections, FrameSet, Tracks
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs
from streampetr_ros.pipeline.data import PipelineSnapshot, StepResult, WholeSet
from streampetr_ros.pipeline.decode import Lineage, continue_lineage, decode, no_lineage
from streampetr_ros.pipeline.filters import FilterConfig, filter_detections, filter_tracks
from streampetr_ros.pipeline.memory_policy import (
    History,
    MemoryPolicyConfig,
    MemoryStatistics,
    ResetReason,
    StepPlan,
    advance,
    is_due,
    ordered_rig,
    plan_step,
    updated_statistics,
)
from streampetr_ros.preprocess.device_path import DevicePath
from streampetr_ros.preprocess.inputs import (
    CameraMask,
    InputConfig,
    join_images,
    prepare_geometry,
)
from streampetr_ros.preprocess.pixel_path import (
    NOTHING_AHEAD,
    CameraMap,
    HostPath,
    PictureAhead,
    PixelPath,
)
from streampetr_ros.track import NullTracker, Tracker, TrackingConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineConfig:
    """Everything about a pipeline except the network.

    Attributes:
        policy: life of the object memory.
        filters: which boxes are handed on.
        tracking: settings of the tracker; None follows no objects.
        cameras: names in the order cameras are fed; unlisted ones follow in the order of the set.
        masks: image regions blanked out before the network sees them.
        workers: threads that prepare images side by side.
    """

    policy: MemoryPolicyConfig = field(default_factory=MemoryPolicyConfig)
    filters: FilterConfig = field(default_factory=FilterConfig)
    tracking: TrackingConfig | None = None
    cameras: tuple[str, ...] = ()
    masks: tuple[CameraMask, ...] = ()
    workers: int = 2

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ValueError(f"workers must be at least 1, got {self.workers}")


class StreamingPipeline:
    """Runs frame sets through a backend, one after the other.

    `step` belongs to one thread; `reset`, `retune` and the assignment of `filters` may come from
    any.

    Args:
        backend: runs the network.
        config: all else.

    Attributes:
        backend: as given.
        statistics: state of the memory after the last step.

    Raises:
        ValueError: if filters or tracking do not fit the classes of the network, or if the memory
            would be dropped before it is replaced.
    """

    def __init__(self, backend: Backend, config: PipelineConfig | None = None) -> None:
        self.backend = backend
        self.statistics = MemoryStatistics()
        self._config = config or PipelineConfig()
        self._policy = self._config.policy
        self._policy.check_interval(backend.config.training_interval)
        self._inputs = InputConfig(image=backend.config.image, masks=self._config.masks)
        self._pool = ThreadPoolExecutor(self._config.workers, thread_name_prefix="prepare")
        self._pixel_path = make_pixel_path(backend.image_device, self._pool.map)
        self._memory: MemoryState | None = None
        self._lineage = no_lineage(backend.config)
        self._history: History | None = None
        self._requests: list[ResetReason] = []
        self._lock = Lock()
        self._tracker = _make_tracker(self._config.tracking, backend.config.class_names)
        self.filters = self._config.filters

    @property
    def filters(self) -> FilterConfig:
        """Limits on the boxes handed on; may be replaced between steps."""
        return self._filters

    @filters.setter
    def filters(self, filters: FilterConfig) -> None:
        filters.check_classes(self.backend.config.class_names)
        self._filters = filters

    def retune(
        self, filters: FilterConfig, policy: MemoryPolicyConfig, masks: Sequence[CameraMask]
    ) -> None:
        """Replace what may change between steps; memory and tracks go on.

        Raises:
            ValueError: if filters do not fit the classes of the network, or if the memory would be
                dropped before it is replaced; nothing has changed then.
        """
        policy.check_interval(self.backend.config.training_interval)
        self.filters = filters
        self._policy = policy
        self._inputs = replace(self._inputs, masks=tuple(masks))

    def is_due(self, stamp_ns: int) -> bool:
        """Tell whether a set of this stamp should be processed, before its images are decoded."""
        with self._lock:
            has_requests = bool(self._requests)
        return has_requests or is_due(self._history, stamp_ns, self._policy)

    def prepare_ahead(self, frame: CameraFrame) -> PictureAhead[Any]:
        """Prepare a picture of a set to come, its pose unused; any number of threads may do so.

        Raises:
            UserError: if the picture cannot be used.
        """
        inputs = self._inputs
        masks = inputs.masks_of(frame.calibration.name)
        return self._pixel_path.prepare_ahead(frame, inputs.image, masks)

    def step(
        self, frame_set: FrameSet, complete: Callable[[], WholeSet] | None = None
    ) -> StepResult:
        """Detect objects in one frame set.

        Args:
            frame_set: images and geometry of one exposure cycle.
            complete: gives the set with its pixels, for which it may wait; asked once all is done
                that needs no picture. The pixels of `frame_set` are not looked at then. What it
                raises ends the step.

        Returns:
            Boxes at the set's reference time.

        Raises:
            UserError: if an image or pose cannot be used, or the network gave numbers that are not
                finite. After any error memory and history are as before.
        """
        clock, trained = StageClock(self.backend.image_device), self.backend.config
        with clock.stage("plan"):
            with self._lock:
                requests = tuple(self._requests)
            requested = requests[-1] if requests else None
            plan = plan_step(
                self._history, frame_set, self._policy, trained.training_interval, requested
            )
        with clock.stage("preprocess"):
            rig = ordered_rig(plan.rig, self._config.cameras)
            known = prepare_geometry(frame_set, plan.previous, self._inputs, rig)
        whole = WholeSet(frame_set, NOTHING_AHEAD) if complete is None else complete()
        with clock.stage("preprocess"):
            inputs = join_images(
                known, whole.frame_set, self._inputs, self._pixel_path, whole.ahead
            )
        with clock.stage("network"):
            outputs, memory = self._run(inputs, plan)
        with clock.stage("decode"):
            query_ids, lineage = self._name_queries(outputs, memory, plan)
            detections_model = decode(outputs, trained, frame_set.stamp_ns, query_ids)
            detections_base = detections_model.transformed(frame_set.base_from_model, "base")
        with clock.stage("track"):
            detections_base, tracks = self._follow(detections_base, frame_set, plan)
        with clock.stage("filter"):
            detections = filter_detections(detections_base, self._filters)
            tracks = filter_tracks(tracks, self._filters)
        self._commit(frame_set, plan, memory, lineage, len(requests))
        return StepResult(
            detections=detections,
            tracks=tracks,
            detections_model=detections_model,
            reset_reason=plan.reset_reason,
            wrote_memory=plan.writes_memory,
            num_cameras=len(frame_set.cameras),
            timings_ms=clock.timings_ms,
            statistics=self.statistics,
        )

    def reset(self, reason: ResetReason = ResetReason.MANUAL) -> None:
        """Drop the memory before the next step; a step in progress is not disturbed.

        Objects that are followed are dropped as well unless the reason keeps them.
        """
        with self._lock:
            self._requests.append(reason)

    def snapshot(self) -> PipelineSnapshot:
        """Return what the next step depends on, to go on later; valid until that step."""
        return PipelineSnapshot(
            memory=self._memory,
            history=self._history,
            statistics=self.statistics,
            tracker=self._tracker,
            lineage=self._lineage,
        )

    def restore(self, snapshot: PipelineSnapshot) -> None:
        """Go on from a snapshot of a pipeline with the same network and configuration."""
        self._memory = snapshot.memory
        self._history = snapshot.history
        self.statistics = snapshot.statistics
        self._tracker = snapshot.tracker
        self._lineage = snapshot.lineage

    def warm_up(self, num_cameras: int = 6) -> None:
        """Run the network on blank images, so that the first real step is not the slowest."""
        self.backend.run(_blank_inputs(self._inputs, num_cameras), None)

    def close(self) -> None:
        """Stop the threads; the pipeline cannot be used afterwards."""
        self._pool.shutdown()
        self._memory = None

    def _run(
        self, inputs: ModelInputs, plan: StepPlan
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        memory = None if plan.previous is None else self._memory
        outputs, next_memory = self.backend.run(inputs, memory)
        # The memory stays where it is; what becomes boxes is looked at here.
        outputs = DetectorOutputs(*(each.float().cpu() for each in outputs))
        if not all(np.isfinite(each.numpy()).all() for each in outputs):
            raise UserError(
                "the network gave numbers that are not finite, so this frame set is skipped; if "
                "it happens again, check the weights file and the calibration"
            )
        return outputs, next_memory

    def _name_queries(
        self, outputs: DetectorOutputs, memory: MemoryState | None, plan: StepPlan
    ) -> tuple[NDArray[np.int64] | None, Lineage]:
        config, before = self.backend.config, self._lineage
        if memory is None:
            return None, before
        if plan.previous is None:
            before = no_lineage(config, before.next_id)
        return continue_lineage(before, outputs, config)

    def _follow(
        self, detections_base: Detections, frame_set: FrameSet, plan: StepPlan
    ) -> tuple[Detections, Tracks]:
        """Track all detections, weak ones too, in the fixed frame; return both in the base frame.

        Comes last of what may fail, so that a set that fails leaves no trace in the tracks.
        """
        if plan.reset_reason is not None and not plan.reset_reason.keeps_tracks:
            self._tracker.reset()
        fixed_from_base = frame_set.fixed_from_base
        tracks = self._tracker.step(detections_base, fixed_from_base)
        if self._config.tracking is None:
            return detections_base, replace(tracks, frame="base")
        tracks = tracks.transformed(geometry.inverse(fixed_from_base), "base")
        track_ids = np.zeros(len(detections_base), dtype=np.int64)
        seen = tracks.sources >= 0
        track_ids[tracks.sources[seen]] = tracks.ids[seen]
        return replace(detections_base, track_ids=track_ids), tracks

    def _commit(
        self,
        frame_set: FrameSet,
        plan: StepPlan,
        memory: MemoryState | None,
        lineage: Lineage,
        served: int,
    ) -> None:
        """Replace memory and history together, now that nothing can fail any more."""
        if plan.writes_memory:
            self._memory, self._lineage = memory, lineage
        else:
            self._lineage = replace(self._lineage, next_id=lineage.next_id)
        self._history = advance(self._history, frame_set, plan)
        self.statistics = updated_statistics(self.statistics, self._history, plan.reset_reason)
        with self._lock:
            del self._requests[:served]


def make_pixel_path(device: torch.device, camera_map: CameraMap) -> PixelPath:
    """Choose where images are prepared: on the GPU that takes them, else on the CPU."""
    return DevicePath(device, camera_map) if device.type == "cuda" else HostPath(camera_map)


def _make_tracker(
    config: TrackingConfig | None, class_names: Sequence[str]
) -> Tracker | NullTracker:
    if config is None:
        return NullTracker()
    config.kind_indices(class_names)
    return Tracker(config)


def _blank_inputs(config: InputConfig, num_cameras: int) -> ModelInputs:
    height, width = config.image.height, config.image.width
    return ModelInputs(
        images=torch.zeros(1, num_cameras, 3, height, width),
        model_from_image=torch.eye(4).expand(1, num_cameras, 4, 4).contiguous(),
        focal_lengths=torch.full((1, num_cameras, 2), float(width)),
        now_from_previous=torch.eye(4)[None],
        elapsed=torch.zeros(1),
        continues=torch.zeros(1),
    )
