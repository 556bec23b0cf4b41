"""From synchronised images to published boxes: the worker's job, one frame set at a time."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Lock

from streampetr_ros.core.errors import UserError
from streampetr_ros.core.problems import Problem, ProblemLog, SkippedSet
from streampetr_ros.core.timing import StageClock
from streampetr_ros.ingest.messages import stamp_text
from streampetr_ros.ingest.sync.types import SyncedSet
from streampetr_ros.messages.results import END_TO_END, LAST_IMAGE, TOTAL, SetReport, SetResult
from streampetr_ros.msg import Object3D
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.pipeline.data import StepResult, WholeSet
from streampetr_ros.pipeline.memory_policy import ResetReason
from streampetr_ros.pipeline.streaming import StreamingPipeline
from streampetr_ros.ros.inputs.camera_input import ReceivedImage
from streampetr_ros.ros.inputs.inputs import Inputs
from streampetr_ros.ros.outputs.objects import detections_message, write_latencies
from streampetr_ros.ros.outputs.outputs import Outputs

#: Restarts that something on the vehicle is to blame for, and what to look at.
_RESTART_ADVICE = {
    ResetReason.POSE_JUMP: "the vehicle's pose jumped; frames.fixed must be a frame without jumps, "
    "such as odom",
    ResetReason.RIG_CHANGE: "a camera or the model frame jumped, or a camera is new; check "
    "CameraInfo and the transforms of the mountings, or the limits memory.max_camera_shift_m, "
    "max_camera_turn and max_focal_change",
    ResetReason.BACKWARD_STAMP: "stamps went back; the recording or the cameras started again",
    ResetReason.GAP: "no frame set came for longer than memory.max_gap_s",
}
#: Results that statistics look back on.
_WINDOW = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessingStatistics:
    """What the worker has done.

    Attributes:
        processed: frame sets published.
        age_s: seconds of node time from the reference stamp of the last one to its publication;
            below 0 if stamps are ahead of the node's clock, None while that clock does not tell.
        latencies_ms: by stage, in the order stages run, the duration that half of the last results
            and that all but one in a hundred kept.
    """

    processed: int
    age_s: float | None
    latencies_ms: Mapping[str, tuple[float, float]]


class SetProcessor:
    """Assembles, detects and publishes.

    Args:
        parameters: of the node.
        inputs: make frame sets.
        pipeline: finds boxes.
        outputs: publish them.
        problems: hears of sets that are skipped.
        set_done: called after each frame set.

    Attributes:
        parameters: may be replaced at any time.
    """

    def __init__(
        self,
        parameters: NodeParameters,
        inputs: Inputs,
        pipeline: StreamingPipeline,
        outputs: Outputs,
        problems: ProblemLog,
        set_done: Callable[[], None],
    ) -> None:
        self.parameters = parameters
        self._inputs = inputs
        self._pipeline = pipeline
        self._outputs = outputs
        self._problems = problems
        self._set_done = set_done
        self._shelf: list[Object3D] = []
        self._lock = Lock()
        self._recent: deque[dict[str, float]] = deque(maxlen=_WINDOW)
        self._processed = 0
        self._memory_start_ns = 0
        self._age_s: float | None = None
        self._begun_s: float | None = None

    def process(self, found: SyncedSet[ReceivedImage]) -> None:
        """Process one set; whatever is wrong with it is reported, not raised."""
        self._begun_s = time.monotonic()
        try:
            if not self._pipeline.is_due(found.stamp_ns):
                self._problems.report(Problem.NOT_DUE, "", "")
            elif self._is_idle():
                self._problems.report(Problem.NO_LISTENER, "", "")
            else:
                self._process(found)
        except SkippedSet as skipped:
            self._problems.report(skipped.problem, skipped.topic, str(skipped))
        except UserError as error:
            self._report_failure(found, str(error))
        except Exception as error:  # noqa: BLE001 - a dead worker would silence the node
            self._report_failure(found, f"unexpected {type(error).__name__}: {error}")
        self._begun_s = None
        self._set_done()

    @property
    def busy_s(self) -> float:
        """For how long the present set has been in work; 0 without one."""
        begun_s = self._begun_s
        return 0.0 if begun_s is None else time.monotonic() - begun_s

    @property
    def processed(self) -> int:
        """Frame sets published so far."""
        return self._processed

    def wants(self, stamp_ns: int) -> bool:
        """Tell whether a set of this stamp would be processed now."""
        return self._pipeline.is_due(stamp_ns) and not self._is_idle()

    def statistics(self) -> ProcessingStatistics:
        """Take a snapshot."""
        with self._lock:
            recent, processed, age_s = list(self._recent), self._processed, self._age_s
        # The worker must not wait for percentiles.
        stages = dict.fromkeys(stage for latency in recent for stage in latency)
        return ProcessingStatistics(
            processed=processed,
            age_s=age_s,
            latencies_ms={stage: _percentiles(stage, recent) for stage in stages},
        )

    def _process(self, found: SyncedSet[ReceivedImage]) -> None:
        clock = StageClock(self._pipeline.backend.image_device)
        begin_ns = self._inputs.now_ns()
        last = max((image.payload for image in found.images), key=lambda image: image.arrival)
        clock.timings_ms["queue"] = (time.perf_counter() - last.arrival) * 1e3
        with clock.stage("transforms"):
            outline = self._inputs.outline(found)
        whole = WholeSet(outline, {})

        def complete() -> WholeSet:
            nonlocal whole
            with clock.stage("images"):
                whole = self._inputs.complete(found, outline)
            return whole

        result = self._pipeline.step(outline, complete)
        clock.timings_ms[LAST_IMAGE] = last.decode_ms
        clock.timings_ms.update(result.timings_ms)
        report = self._report(found, result)
        with clock.stage("message"):
            message = detections_message(result.detections, report, result.tracks, self._shelf)
        clock.timings_ms[TOTAL] = (time.perf_counter() - last.arrival) * 1e3
        now_ns = self._inputs.now_ns()
        # Unless simulated time has not begun, or was set back since the set was taken up.
        if now_ns and now_ns >= begin_ns:
            clock.timings_ms[END_TO_END] = (now_ns - found.stamp_ns) * 1e-6
        write_latencies(message, clock.timings_ms)
        self._outputs.publish(
            message,
            SetResult(
                frame_set=whole.frame_set,
                detections=result.detections,
                tracks=result.tracks,
                report=report,
                camera_frames={i.camera: i.payload.message.header.frame_id for i in found.images},
                latency_ms=clock.timings_ms,
            ),
        )
        with self._lock:
            self._processed += 1
            age_ms = clock.timings_ms.get(END_TO_END)
            self._age_s = None if age_ms is None else age_ms * 1e-3
            self._recent.append(dict(clock.timings_ms))

    def _is_idle(self) -> bool:
        """Whether nobody listens, where work is to be saved then."""
        saves = self.parameters.detection.only_when_subscribed
        return saves and not self._outputs.has_listeners

    def _report(self, found: SyncedSet[ReceivedImage], result: StepResult) -> SetReport:
        if result.reset_reason is not None:
            self._memory_start_ns = found.stamp_ns
            if (advice := _RESTART_ADVICE.get(result.reset_reason)) is not None:
                self._problems.report(
                    Problem.RESTART,
                    result.reset_reason.value,
                    f"the memory restarted at {stamp_text(found.stamp_ns)}: {advice}",
                )
        return SetReport(
            model=self._pipeline.backend.config.name,
            base_frame=self.parameters.frames.base,
            cameras_expected=len(self.parameters.cameras.names),
            camera_stamps_ns={image.camera: image.stamp_ns for image in found.images},
            frames_since_reset=result.statistics.steps_since_reset - 1,
            memory_age=(found.stamp_ns - self._memory_start_ns) * 1e-9,
            reset_reason="" if result.reset_reason is None else result.reset_reason.value,
        )

    def _report_failure(self, found: SyncedSet[ReceivedImage], reason: str) -> None:
        self._problems.report(
            Problem.PIPELINE,
            "pipeline",
            f"frame set at {stamp_text(found.stamp_ns)} skipped: {reason}",
        )


def _percentiles(stage: str, recent: list[dict[str, float]]) -> tuple[float, float]:
    # Sorting takes an eighth of the time of NumPy's percentiles, and the executor waits for it.
    values = sorted(latency[stage] for latency in recent if stage in latency)
    p50, p99 = (values[round(share * (len(values) - 1))] for share in (0.5, 0.99))
    return p50, p99
