"""From synchronised images to published boxes: the worker's job, one frame set at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.timing import StageClock
from streampetr_ros.ingest.messages import stamp_text
from streampetr_ros.ingest.sync.types import SyncedSet
from streampetr_ros.messages.results import SetReport, SetResult
from streampetr_ros.msg import Object3D
from streampetr_ros.parameters.node import DetectionParameters
from streampetr_ros.pipeline.data import StepResult
from streampetr_ros.pipeline.streaming import StreamingPipeline
from streampetr_ros.ros.inputs.assembly import FrameSetAssembler
from streampetr_ros.ros.inputs.camera_input import ReceivedImage
from streampetr_ros.ros.outputs.latency import END_TO_END, LAST_IMAGE, TOTAL
from streampetr_ros.ros.outputs.objects import detections_message, write_latencies
from streampetr_ros.ros.outputs.outputs import Outputs
from streampetr_ros.ros.problems import Problem, ProblemLog, SkippedSetError

#: Results that statistics look back on.
_WINDOW = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLabels:
    """What every result says about its making.

    Attributes:
        model: name of the model.
        base_frame: TF name of the frame of the boxes.
        cameras: number of configured cameras.
    """

    model: str
    base_frame: str
    cameras: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StageLatency:
    """Duration of one stage over the last results, milliseconds."""

    stage: str
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessingStatistics:
    """What the worker has done.

    Attributes:
        processed: frame sets published.
        last_stamp_ns: reference time of the last one; None before the first.
        age_s: seconds of node time from its reference stamp to its publication; below 0 if stamps
            are ahead of the node's clock, None while that clock does not tell.
        interval_s: seconds between the last two, by their stamps.
        latencies: per stage, in the order stages run.
    """

    processed: int
    last_stamp_ns: int | None
    age_s: float | None
    interval_s: float
    latencies: tuple[StageLatency, ...]


class SetProcessor:
    """Assembles, detects and publishes.

    Args:
        assembler: makes frame sets.
        pipeline: finds boxes.
        outputs: publishes them.
        problems: hears of sets that are skipped.
        now_ns: node time.
        labels: what every result says about its making.
    """

    def __init__(
        self,
        assembler: FrameSetAssembler,
        pipeline: StreamingPipeline,
        outputs: Outputs,
        problems: ProblemLog,
        now_ns: Callable[[], int],
        labels: SetLabels,
    ) -> None:
        self.detection = DetectionParameters()
        self._assembler = assembler
        self._pipeline = pipeline
        self._outputs = outputs
        self._problems = problems
        self._now_ns = now_ns
        self._labels = labels
        self._shelf: list[Object3D] = []
        self._lock = Lock()
        self._recent: deque[dict[str, float]] = deque(maxlen=_WINDOW)
        self._processed = 0
        self._last_stamp_ns: int | None = None
        self._memory_start_ns = 0
        self._age_s: float | None = None
        self._interval_s = 0.0

    def process(self, found: SyncedSet[ReceivedImage]) -> None:
        """Process one set; whatever is wrong with it is reported, not raised."""
        try:
            self._process(found)
        except SkippedSetError as skipped:
            self._problems.report(skipped.problem, skipped.where, skipped.sentence)
        except UserError as error:
            self._report_failure(found, str(error))
        except Exception as error:  # noqa: BLE001 - a dead worker would silence the node
            self._report_failure(found, f"unexpected {type(error).__name__}: {error}")

    def wants(self, stamp_ns: int) -> bool:
        """Tell whether a set of this stamp would be processed now."""
        return self._pipeline.is_due(stamp_ns) and not self._is_idle()

    def statistics(self) -> ProcessingStatistics:
        """Take a snapshot."""
        with self._lock:
            recent = list(self._recent)
            counts = (self._processed, self._last_stamp_ns, self._age_s, self._interval_s)
        # The worker must not wait for percentiles.
        processed, last_stamp_ns, age_s, interval_s = counts
        return ProcessingStatistics(
            processed=processed,
            last_stamp_ns=last_stamp_ns,
            age_s=age_s,
            interval_s=interval_s,
            latencies=tuple(_summary(stage, recent) for stage in _stages(recent)),
        )

    def _process(self, found: SyncedSet[ReceivedImage]) -> None:
        self._refuse_unneeded(found)
        clock = StageClock(self._pipeline.backend.image_device)
        begin_ns = self._now_ns()
        last = max((image.payload for image in found.images), key=lambda image: image.arrival)
        arrival = last.arrival
        clock.timings_ms["queue"] = (time.perf_counter() - arrival) * 1e3
        assembled = self._assembler.assemble(found, clock)
        result = self._pipeline.step(assembled.outline, assembled.complete)
        clock.timings_ms[LAST_IMAGE] = last.progress.decode_ms
        clock.timings_ms.update(result.timings_ms)
        report = self._report(found, result)
        with clock.stage("message"):
            message = detections_message(result.detections, report, result.tracks, self._shelf)
        clock.timings_ms[TOTAL] = (time.perf_counter() - arrival) * 1e3
        clock.timings_ms.update(self._age_ms(found.stamp_ns, begin_ns))
        write_latencies(message, clock.timings_ms)
        self._outputs.publish(
            message,
            SetResult(
                frame_set=assembled.frame_set,
                detections=result.detections,
                tracks=result.tracks,
                report=report,
                camera_frames={i.camera: i.payload.message.header.frame_id for i in found.images},
                latency_ms=clock.timings_ms,
            ),
        )
        self._remember(found.stamp_ns, result, clock)

    def _age_ms(self, stamp_ns: int, begin_ns: int) -> dict[str, float]:
        """Return the time from a stamp to now, unless the node's clock cannot tell."""
        now_ns = self._now_ns()
        # Simulated time that has not begun, or was set back since the set was taken up.
        if now_ns == 0 or now_ns < begin_ns:
            return {}
        return {END_TO_END: (now_ns - stamp_ns) * 1e-6}

    def _refuse_unneeded(self, found: SyncedSet[ReceivedImage]) -> None:
        if not self._pipeline.is_due(found.stamp_ns):
            raise SkippedSetError(Problem.NOT_DUE)
        if self._is_idle():
            raise SkippedSetError(Problem.NO_LISTENER)

    def _is_idle(self) -> bool:
        """Whether nobody listens, where work is to be saved then."""
        return self.detection.only_when_subscribed and not self._outputs.has_listeners

    def _report(self, found: SyncedSet[ReceivedImage], result: StepResult) -> SetReport:
        if result.reset_reason is not None:
            self._memory_start_ns = found.stamp_ns
        return SetReport(
            model=self._labels.model,
            base_frame=self._labels.base_frame,
            cameras_expected=self._labels.cameras,
            camera_stamps_ns={image.camera: image.stamp_ns for image in found.images},
            frames_since_reset=result.statistics.steps_since_reset - 1,
            memory_age=(found.stamp_ns - self._memory_start_ns) * 1e-9,
            reset_reason="" if result.reset_reason is None else result.reset_reason.value,
        )

    def _remember(self, stamp_ns: int, result: StepResult, clock: StageClock) -> None:
        with self._lock:
            self._processed += 1
            self._last_stamp_ns = stamp_ns
            age_ms = clock.timings_ms.get(END_TO_END)
            self._age_s = None if age_ms is None else age_ms * 1e-3
            self._interval_s = result.statistics.interval
            self._recent.append(dict(clock.timings_ms))

    def _report_failure(self, found: SyncedSet[ReceivedImage], reason: str) -> None:
        self._problems.report(
            Problem.PIPELINE,
            "pipeline",
            f"frame set at {stamp_text(found.stamp_ns)} skipped: {reason}",
        )


def _stages(recent: list[dict[str, float]]) -> list[str]:
    """Return all stages, in the order they ran."""
    return list(dict.fromkeys(stage for latency in recent for stage in latency))


def _summary(stage: str, recent: list[dict[str, float]]) -> StageLatency:
    # Sorting takes an eighth of the time of NumPy's percentiles, and the executor waits for it.
    values = sorted(latency[stage] for latency in recent if stage in latency)
    p50, p99 = (values[round(share * (len(values) - 1))] for share in (0.5, 0.99))
    return StageLatency(stage=stage, p50_ms=p50, p99_ms=p99)
