"""Measurements behind ``streampetr benchmark``."""

from __future__ import annotations

import os
import platform
import resource
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from streampetr_ros import geometry
from streampetr_ros.backends.torch_backend import TorchBackend, prepared
from streampetr_ros.decode import decode
from streampetr_ros.ingest.compressed import decode_compressed
from streampetr_ros.model.config import detector_config
from streampetr_ros.model.detector import Detector, build_detector
from streampetr_ros.model.state import MemoryState, ModelInputs
from streampetr_ros.pipeline import StreamingPipeline
from streampetr_ros.preprocess.inputs import InputConfig, PreviousFrame, prepare_inputs
from streampetr_ros.sources.frame_json import BASE_FROM_NUSCENES_LIDAR
from streampetr_ros.timing import StageClock
from streampetr_ros.tools.replay_run import stage_percentiles
from streampetr_ros.types import CameraCalibration, CameraFrame, FrameSet

METHOD = (
    "Six cameras at 2 Hz from a moving vehicle, images JPEG at quality 90 and equal in every set, "
    "random weights, float32, batch 1. Stages are timed one after the other in one loop; 'step' is "
    "decode plus the pipeline's whole step in a loop of its own; sets per second are 1000 / p50 of "
    "'step'."
)
_WORKERS = 2
_YAWS_DEGREES = {
    "CAM_FRONT": 0.0,
    "CAM_FRONT_RIGHT": -55.0,
    "CAM_FRONT_LEFT": 55.0,
    "CAM_BACK": 180.0,
    "CAM_BACK_LEFT": 110.0,
    "CAM_BACK_RIGHT": -110.0,
}


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
    """

    model: str
    frames: int
    warm_up: int
    device: str
    threads: int
    image_size: tuple[int, int]


def measure(wanted: Measurement) -> dict[str, Any]:
    """Measure one model in this process; its peak memory includes all that ran here before."""
    if wanted.threads:
        torch.set_num_threads(wanted.threads)
    torch.manual_seed(0)
    detector = build_detector(detector_config(wanted.model)).eval()
    backend = TorchBackend(detector, wanted.device)
    drive = _Drive(wanted.image_size)
    total = wanted.warm_up + wanted.frames
    device = torch.device(wanted.device)
    stages = list(_staged(prepared(detector, device), device, drive, total))
    steps = list(_stepped(StreamingPipeline(backend), drive, total))
    milliseconds = stage_percentiles(stages[wanted.warm_up :])
    milliseconds["step"] = stage_percentiles(steps[wanted.warm_up :])["total"]
    return {
        "backend": backend.name,
        "threads": torch.get_num_threads(),
        "parameters": sum(parameter.numel() for parameter in detector.parameters()),
        "cameras": len(_YAWS_DEGREES),
        "image_size": f"{wanted.image_size[0]}x{wanted.image_size[1]}",
        "frames": wanted.frames,
        "milliseconds": milliseconds,
        "sets_per_second": 1000.0 / milliseconds["step"]["p50"],
        "peak_memory_mb": _peak_memory_mb(),
        "peak_gpu_memory_mb": _peak_gpu_memory_mb(),
    }


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
    detector: Detector, device: torch.device, drive: _Drive, count: int
) -> Iterator[dict[str, float]]:
    """Run every stage on its own and yield the times of each set, milliseconds."""
    memory: MemoryState | None = None
    previous: PreviousFrame | None = None
    config = InputConfig(image=detector.config.image)
    with ThreadPoolExecutor(_WORKERS) as pool:
        for index in range(count):
            clock = StageClock()
            with clock.stage("decode"):
                frame_set = drive.frame_set(index, pool)
            with clock.stage("preprocess"):
                inputs = prepare_inputs(frame_set, previous, config, camera_map=pool.map)
            with clock.stage("upload"):
                inputs = ModelInputs(*(v if v is None else v.to(device) for v in inputs))
            with clock.stage("encoder"):
                features = detector.encode_images(inputs.images)
            with clock.stage("position"):
                position = detector.token_position(inputs)
            with clock.stage("head"):
                outputs, memory = detector.predict(features, position, inputs, memory)
            with clock.stage("decoding"):
                decode(outputs[-1], detector.config, frame_set.stamp_ns)
            previous = PreviousFrame(
                stamp_ns=frame_set.stamp_ns,
                fixed_from_model=frame_set.fixed_from_base @ frame_set.base_from_model,
            )
            yield clock.timings_ms


def _stepped(pipeline: StreamingPipeline, drive: _Drive, count: int) -> Iterator[dict[str, float]]:
    """Run the real pipeline and yield the time of each set, milliseconds."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        for index in range(count):
            clock = StageClock()
            with clock.stage("step"):
                pipeline.step(drive.frame_set(index, pool))
            yield clock.timings_ms
    pipeline.close()


class _Drive:
    """A straight drive at 10 m/s whose images are kept as JPEG.

    Args:
        size: width and height of camera images.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        rng = np.random.default_rng(0)
        self._cameras = [_calibration(name, yaw, size) for name, yaw in _YAWS_DEGREES.items()]
        self._jpegs = [_jpeg(size, rng) for _ in self._cameras]

    def frame_set(self, index: int, pool: ThreadPoolExecutor) -> FrameSet:
        """Decode the images of one set and place them."""
        stamp_ns = 1_000_000_000 + index * 500_000_000
        pose = geometry.transform_from_parts([5.0 * index, 0.0, 0.0], np.eye(3))
        images = pool.map(decode_compressed, self._jpegs)
        frames = tuple(
            CameraFrame(calibration=camera, stamp_ns=stamp_ns, pixels=pixels, fixed_from_base=pose)
            for camera, pixels in zip(self._cameras, images, strict=True)
        )
        return FrameSet(
            stamp_ns=stamp_ns,
            cameras=frames,
            fixed_from_base=pose,
            base_from_model=BASE_FROM_NUSCENES_LIDAR,
        )


def _calibration(name: str, yaw_degrees: float, size: tuple[int, int]) -> CameraCalibration:
    width, height = size
    optical = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    rotation = geometry.rotation_about_z(np.radians(yaw_degrees)) @ optical
    intrinsic = np.array(
        [[0.8 * width, 0.0, 0.5 * width], [0.0, 0.8 * width, 0.55 * height], [0.0, 0.0, 1.0]]
    )
    return CameraCalibration(
        name=name,
        width=width,
        height=height,
        intrinsic=intrinsic,
        base_from_camera=geometry.transform_from_parts([1.0, 0.0, 1.5], rotation),
    )


def _jpeg(size: tuple[int, int], rng: np.random.Generator) -> bytes:
    """Encode a picture with edges and texture, about as costly to decode as a street."""
    coarse = rng.integers(0, 256, (size[1] // 16 + 1, size[0] // 16 + 1, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    noisy = np.clip(picture + rng.normal(0.0, 5.0, picture.shape), 0, 255).astype(np.uint8)
    _, encoded = cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return bytes(encoded.tobytes())


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
