"""Measurements behind ``streampetr benchmark``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import typer

from streampetr_ros.backends.base import Backend
from streampetr_ros.backends.exported import open_exported
from streampetr_ros.backends.opening import AUTO, Choice, open_backend
from streampetr_ros.backends.pytorch.torch_backend import DTYPES, TorchBackend, prepared
from streampetr_ros.core.timing import StageClock, stage_percentiles
from streampetr_ros.model.config import DetectorConfig, detector_config
from streampetr_ros.model.detector import Detector, build_detector
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs
from streampetr_ros.pipeline.decode import decode
from streampetr_ros.pipeline.streaming import PipelineConfig, StreamingPipeline, make_pixel_path
from streampetr_ros.preprocess.inputs import InputConfig, PreviousFrame, prepare_inputs
from streampetr_ros.tools.benchmark.drive import Drive
from streampetr_ros.tools.benchmark.machine import gpu_memory_mb, peak_memory_mb
from streampetr_ros.tools.benchmark.matrix import matrix_work
from streampetr_ros.tools.benchmark.publish import Publishing, open_publishing
from streampetr_ros.tools.benchmark.reference import PlainNetwork, compare_networks, run_stages

METHOD = (
    "Cameras at 2 Hz on a moving vehicle, images JPEG at quality 90 and equal in every set, "
    "random weights unless exported graphs are named, batch 1. Stages are timed one after the "
    "other in one loop; 'publish' makes and publishes the message of all decoded boxes. Sets per "
    "second are 1000 / p50, by two methods. Ours: 'step' is decode plus the pipeline's whole step, "
    "that is from JPEG files to filtered boxes, in a loop of its own; 'boxes' is the same without "
    "decode. The one of the original code: 'original' is upload, network and decoding, without "
    "decode and preprocess. 'network' is encoder, position and head. Cameras fire at once, so "
    "projections stay equal: PyTorch's 'position' is timed in every set, everything else encodes "
    "it once. On a GPU PyTorch's stages run without CUDA graphs, everything else with them."
)
#: Stages of the network: in parts, or in one where graphs are exported.
_NETWORK = ("encoder", "position", "head", "network")
#: Runs the network on a frame and books the times of its parts.
RunNetwork = Callable[
    [ModelInputs, MemoryState | None, StageClock], tuple[DetectorOutputs, MemoryState | None]
]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkCase:
    """What to measure.

    Attributes:
        model: name or file; of no meaning with `weights`.
        frames: frame sets timed.
        warm_up: frame sets run before.
        image_size: width and height of camera images.
        cameras: number of cameras; of no meaning with `weights`.
        changes: fields of the detector's configuration that are not those of `model`.
        reference: whether the plain network is measured too.
        reduction: how many times narrower and lower images are decoded.
        weights: folder of exported graphs; empty for random weights on PyTorch.
        choice: what runs the network; its backend is of exported graphs.
        publishes: whether publishing is measured, where ROS is there.
    """

    model: str
    frames: int
    warm_up: int
    image_size: tuple[int, int]
    cameras: int = 6
    changes: Mapping[str, Any] = field(default_factory=dict)
    reference: bool = False
    reduction: int = 1
    weights: str = ""
    choice: Choice = field(default_factory=Choice)
    publishes: bool = True


def measure_case(wanted: BenchmarkCase) -> dict[str, Any]:
    """Measure one model in this process; its peak memory includes all that ran here before.

    Raises:
        BackendError: if device, runtime or precision are not there.
        UserError: if `weights` is no exported model.
    """
    if wanted.weights:
        return _measure_graphs(wanted)
    if wanted.choice.threads:
        torch.set_num_threads(wanted.choice.threads)
    torch.manual_seed(0)
    config = replace(detector_config(wanted.model), **wanted.changes)
    precision = "fp32" if wanted.choice.precision == AUTO else wanted.choice.precision
    detector = build_detector(config).eval()
    backend = TorchBackend(detector, wanted.choice.device, precision)
    drive = Drive(wanted.image_size, wanted.cameras, wanted.reduction)
    device = torch.device(wanted.choice.device)
    copy = prepared(detector, device, precision)
    found = _measured(wanted, backend, _in_parts(copy, device), drive)
    frames = _inputs(config, drive, wanted.warm_up + wanted.frames)
    work = matrix_work(copy, frames[0].to(device), DTYPES[precision])
    work["share_of_network"] = work["least_ms"] / found["milliseconds"]["network"]["p50"]
    reference = None
    if wanted.reference:
        plain = PlainNetwork(detector, device)
        reference = compare_networks(plain, backend, copy, frames, wanted.warm_up)
    parameters = sum(parameter.numel() for parameter in detector.parameters())
    return {**found, "parameters": parameters, "matrix_work": work, "reference": reference}


def _measure_graphs(wanted: BenchmarkCase) -> dict[str, Any]:
    """Measure exported graphs, whose network is one stage."""
    backend = open_backend(wanted.weights, choice=wanted.choice, progress=typer.echo)
    wanted = replace(wanted, cameras=open_exported(Path(wanted.weights)).cameras)

    def run(
        inputs: ModelInputs, memory: MemoryState | None, clock: StageClock
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        with clock.stage("network"):
            return backend.run(inputs, memory)

    drive = Drive(wanted.image_size, wanted.cameras, wanted.reduction)
    found = _measured(wanted, backend, run, drive)
    return {**found, "parameters": None, "matrix_work": None, "reference": None}


def _measured(
    wanted: BenchmarkCase, backend: Backend, run: RunNetwork, drive: Drive
) -> dict[str, Any]:
    """Time the stages in one loop and whole steps in another."""
    total = wanted.warm_up + wanted.frames
    with open_publishing(backend.config.name, drive.names, wanted.publishes) as publishing:
        stages = list(_staged(backend, run, drive, total, publishing))
    pipeline = StreamingPipeline(backend, PipelineConfig())
    steps = list(_stepped(pipeline, drive, total))
    milliseconds = _summed_up(stages[wanted.warm_up :], steps[wanted.warm_up :])
    rates = {name: 1000.0 / milliseconds[name]["p50"] for name in ("step", "boxes", "original")}
    return {
        "backend": backend.name,
        "threads": torch.get_num_threads(),
        "cameras": wanted.cameras,
        "image_size": f"{wanted.image_size[0]}x{wanted.image_size[1]}",
        "reduction": wanted.reduction,
        "frames": wanted.frames,
        "milliseconds": milliseconds,
        "publish": publishing.summary,
        "sets_per_second": rates,
        "peak_memory_mb": peak_memory_mb(),
        "gpu_memory_mb": gpu_memory_mb(backend.image_device),
    }


def _summed_up(
    stages: list[dict[str, float]], steps: list[dict[str, float]]
) -> dict[str, dict[str, float]]:
    """Return percentiles of stages and of what is made up of them."""
    milliseconds = stage_percentiles(stages)
    for name, parts in (
        ("network", _NETWORK),
        ("original", (*_NETWORK, "upload", "decoding")),
    ):
        sums = ({"sum": sum(row.get(part, 0.0) for part in parts)} for row in stages)
        milliseconds[name] = stage_percentiles(sums)["total"]
    whole = stage_percentiles(steps)
    return milliseconds | {"boxes": whole["boxes"], "step": whole["total"]}


def _in_parts(detector: Detector, device: torch.device) -> RunNetwork:
    """Return what runs a detector with its parts timed one after the other."""

    def run(
        inputs: ModelInputs, memory: MemoryState | None, clock: StageClock
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        with clock.stage("upload"):
            inputs = inputs.to(device)
        return run_stages(detector, inputs, memory, clock)

    return run


def _staged(
    backend: Backend,
    run: RunNetwork,
    drive: Drive,
    count: int,
    publishing: Publishing,
) -> Iterator[dict[str, float]]:
    """Run every stage on its own and yield the times of each set, milliseconds."""
    memory: MemoryState | None = None
    previous: PreviousFrame | None = None
    config = InputConfig(image=backend.config.image)
    pixel_path = make_pixel_path(backend.image_device, drive.pool.map)
    for index in range(count):
        clock = StageClock(backend.image_device)
        with clock.stage("decode"):
            frame_set = drive.frame_set(index)
        with clock.stage("preprocess"):
            inputs = prepare_inputs(frame_set, previous, config, pixel_path=pixel_path)
        outputs, memory = run(inputs, memory, clock)
        with clock.stage("decoding"):
            detections = decode(outputs, backend.config, frame_set.stamp_ns)
            detections = detections.transformed(frame_set.base_from_model, "base")
        if publishing.publish is not None:
            with clock.stage("publish"):
                publishing.publish(detections)
        previous = PreviousFrame.of(frame_set)
        yield clock.timings_ms


def _inputs(config: DetectorConfig, drive: Drive, count: int) -> list[ModelInputs]:
    """Prepare the inputs of consecutive frames."""
    inputs = []
    previous: PreviousFrame | None = None
    for index in range(count):
        frame_set = drive.frame_set(index)
        inputs.append(prepare_inputs(frame_set, previous, InputConfig(image=config.image)))
        previous = PreviousFrame.of(frame_set)
    return inputs


def _stepped(pipeline: StreamingPipeline, drive: Drive, count: int) -> Iterator[dict[str, float]]:
    """Run the real pipeline and yield the times of each set, milliseconds."""
    for index in range(count):
        clock = StageClock(pipeline.backend.image_device)
        with clock.stage("decode"):
            frame_set = drive.frame_set(index)
        with clock.stage("boxes"):
            pipeline.step(frame_set)
        yield clock.timings_ms
    pipeline.close()
