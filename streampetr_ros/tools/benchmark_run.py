"""Measurements behind ``streampetr benchmark``."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from streampetr_ros.backends.torch_backend import TorchBackend, prepared
from streampetr_ros.decode import decode
from streampetr_ros.ingest.undistort import Rectifier
from streampetr_ros.model.config import DetectorConfig, detector_config
from streampetr_ros.model.detector import Detector, build_detector
from streampetr_ros.model.state import MemoryState, ModelInputs
from streampetr_ros.pipeline import PipelineConfig, StreamingPipeline, make_pixel_path
from streampetr_ros.preprocess.inputs import InputConfig, PreviousFrame, prepare_inputs
from streampetr_ros.timing import StageClock
from streampetr_ros.tools.benchmark_drive import Drive
from streampetr_ros.tools.benchmark_reference import (
    PlainNetwork,
    compare,
    compare_stages,
    on_device,
    run_stages,
)
from streampetr_ros.tools.replay_run import stage_percentiles
from streampetr_ros.types import FrameSet

METHOD = (
    "Cameras at 2 Hz on a moving vehicle, images JPEG at quality 90 and equal in every set, "
    "random weights, batch 1. Stages are timed one after the other in one loop; 'step' is "
    "decode plus the pipeline's whole step in a loop of its own; sets per second are 1000 / p50 of "
    "'step'. 'network' is encoder, position and head, what the FPS of the original code counts. "
    "Cameras fire at once, so projections stay equal: 'position' is timed in every set, 'step' and "
    "the comparison with the plain network encode it once."
)
_WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What to measure.

    Attributes:
        model: configuration name.
        frames: frame sets timed.
        warm_up: frame sets run before.
        device: "cpu", "cuda" or "cuda:N".
        threads: CPU threads; 0 leaves the choice to PyTorch.
        image_size: width and height of camera images.
        cameras: number of cameras.
        changes: fields of the detector's configuration that are not those of `model`.
        reference: whether the plain network is measured too.
        precision: of the matrix work, see `TorchBackend`.
        reduction: how many times narrower and lower images are decoded.
        resize: how the CPU resizes images, a name of `RESIZERS`.
    """

    model: str
    frames: int
    warm_up: int
    device: str
    threads: int
    image_size: tuple[int, int]
    cameras: int = 6
    changes: Mapping[str, Any] = field(default_factory=dict)
    reference: bool = False
    precision: str = "fp32"
    reduction: int = 1
    resize: str = "exact"


def measure(wanted: Measurement) -> dict[str, Any]:
    """Measure one model in this process; its peak memory includes all that ran here before."""
    if wanted.threads:
        torch.set_num_threads(wanted.threads)
    torch.manual_seed(0)
    config = replace(detector_config(wanted.model), **wanted.changes)
    detector = build_detector(config).eval()
    backend = TorchBackend(detector, wanted.device, wanted.precision)
    drive = Drive(wanted.image_size, wanted.cameras, wanted.reduction)
    total = wanted.warm_up + wanted.frames
    device = torch.device(wanted.device)
    copy = prepared(detector, device, wanted.precision)
    stages = list(_staged(copy, device, drive, total, wanted.resize))
    pipeline = StreamingPipeline(backend, PipelineConfig(resize=wanted.resize))
    steps = list(_stepped(pipeline, drive, total))
    reference = None
    if wanted.reference:
        plain = PlainNetwork(detector, device)
        frames = _inputs(config, drive, total)
        reference = compare(plain, backend, frames, wanted.warm_up)
        reference["stages"] = compare_stages(plain, copy, device, frames, wanted.warm_up)
    milliseconds = stage_percentiles(stages[wanted.warm_up :])
    milliseconds["network"] = stage_percentiles(map(_network, stages[wanted.warm_up :]))["total"]
    milliseconds["step"] = stage_percentiles(steps[wanted.warm_up :])["total"]
    return {
        "backend": backend.name,
        "threads": torch.get_num_threads(),
        "parameters": sum(parameter.numel() for parameter in detector.parameters()),
        "cameras": wanted.cameras,
        "image_size": f"{wanted.image_size[0]}x{wanted.image_size[1]}",
        "reduction": wanted.reduction,
        "resize": wanted.resize,
        "frames": wanted.frames,
        "milliseconds": milliseconds,
        "sets_per_second": 1000.0 / milliseconds["step"]["p50"],
        "peak_memory_mb": _peak_memory_mb(),
        "peak_gpu_memory_mb": _peak_gpu_memory_mb(),
        "reference": reference,
    }


def _network(stages: Mapping[str, float]) -> dict[str, float]:
    """Keep what the FPS of the original code counts."""
    return {name: stages[name] for name in ("encoder", "position", "head")}


def machine(device: str) -> dict[str, Any]:
    """Name hardware and versions."""
    on_gpu = device.startswith("cuda") and torch.cuda.is_available()
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": torch.cuda.get_device_name(device) if on_gpu else "",
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


@torch.inference_mode()
def _staged(
    detector: Detector, device: torch.device, drive: Drive, count: int, resize: str
) -> Iterator[dict[str, float]]:
    """Run every stage on its own and yield the times of each set, milliseconds."""
    memory: MemoryState | None = None
    previous: PreviousFrame | None = None
    config = InputConfig(image=detector.config.image)
    with ThreadPoolExecutor(_WORKERS) as pool:
        pixel_path = make_pixel_path(device, Rectifier(), pool.map, resize)
        for index in range(count):
            clock = StageClock()
            with clock.stage("decode"):
                frame_set = drive.frame_set(index, pool)
            with clock.stage("preprocess"):
                inputs = prepare_inputs(frame_set, previous, config, pixel_path=pixel_path)
            with clock.stage("upload"):
                inputs = on_device(inputs, device)
            outputs, memory = run_stages(detector, inputs, memory, clock)
            with clock.stage("decoding"):
                decode(outputs, detector.config, frame_set.stamp_ns)
            previous = _previous(frame_set)
            yield clock.timings_ms


def _inputs(config: DetectorConfig, drive: Drive, count: int) -> list[ModelInputs]:
    """Prepare the inputs of consecutive frames."""
    inputs = []
    previous: PreviousFrame | None = None
    with ThreadPoolExecutor(_WORKERS) as pool:
        for index in range(count):
            frame_set = drive.frame_set(index, pool)
            inputs.append(prepare_inputs(frame_set, previous, InputConfig(image=config.image)))
            previous = _previous(frame_set)
    return inputs


def _previous(frame_set: FrameSet) -> PreviousFrame:
    return PreviousFrame(
        stamp_ns=frame_set.stamp_ns,
        fixed_from_model=frame_set.fixed_from_base @ frame_set.base_from_model,
    )


def _stepped(pipeline: StreamingPipeline, drive: Drive, count: int) -> Iterator[dict[str, float]]:
    """Run the real pipeline and yield the time of each set, milliseconds."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        for index in range(count):
            clock = StageClock()
            with clock.stage("step"):
                pipeline.step(drive.frame_set(index, pool))
            yield clock.timings_ms
    pipeline.close()


def _peak_memory_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0**2 if sys.platform == "darwin" else 1024.0)


def _peak_gpu_memory_mb() -> float | None:
    if not torch.cuda.is_initialized():
        return None
    return torch.cuda.max_memory_allocated() / 1024.0**2


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
