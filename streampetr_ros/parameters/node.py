"""All parameters of the node: name, default, range, meaning, and when each may change."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from streampetr_ros.backends.cuda.device import CUDA_GRAPHS
from streampetr_ros.backends.opening import BACKENDS, PRECISIONS
from streampetr_ros.ingest.pictures.reduction import REDUCTIONS
from streampetr_ros.nuscenes.car import CAMERA_ORDER
from streampetr_ros.parameters.outputs import (
    MarkerParameters,
    OutputParameters,
    OverlayParameters,
    TrackingParameters,
)
from streampetr_ros.parameters.tree import RUN, START, ParameterError, parameter
from streampetr_ros.parameters.wiring import PER_CAMERA

_FAR = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelParameters:
    """Which network runs, and where."""

    name: str = parameter("", "Model name; empty takes the one stored with the weights")
    weights: str = parameter(
        "",
        "Weights: a .safetensors file, a folder of exported graphs, or, to try topics and timing "
        "without trained weights, 'random:SEED' or 'stand_in:MILLISECONDS', which only waits",
    )
    backend: str = parameter(
        "auto",
        "What runs the network; auto is torch for weights and onnxruntime for exported graphs, "
        "which the tensorrt ones run too, building engines at the first start",
        choices=BACKENDS,
    )
    precision: str = parameter(
        "auto",
        "Of the matrix work: auto is fp32 for weights and what they were exported in for exported "
        "graphs, which run in nothing else; positions and memory stay float32 always",
        choices=PRECISIONS,
    )
    device: str = parameter("cpu", "Device such as cpu, cuda or cuda:1")
    cuda_graphs: str = parameter(
        "auto",
        "On a GPU torch and TensorRT repeat recorded work: auto warns and does without recording "
        "where that fails, always fails, never does not record",
        choices=CUDA_GRAPHS,
    )
    fall_back_to_cpu: bool = parameter(
        False,
        "Where backend or device cannot be used, warn and run on the CPU (exported graphs with "
        "onnxruntime) instead of failing to configure",
    )
    threads: int = parameter(
        0, "CPU threads of the network; 0 leaves torch's choice", between=(0, 256)
    )
    warm_up: bool = parameter(True, "Run the network once while configuring")
    build_only: bool = parameter(
        False,
        "Configure, which builds missing engines of the tensorrt backends, say which files are "
        "ready and end, with exit code 0, or 1 where that fails; never falls back",
        changes=START,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraParameters:
    """Where images and calibration come from; lists hold one value for all or one per camera."""

    names: tuple[str, ...] = parameter(
        CAMERA_ORDER,
        "Camera names; keep the order of the training data, which published weights depend on",
    )
    image_topics: tuple[str, ...] = parameter(
        ("{camera}/image_raw",), "Image topic; {camera} stands for the name"
    )
    info_topics: tuple[str, ...] = parameter(
        ("{camera}/camera_info",), "CameraInfo topic; {camera} stands for the name"
    )
    transports: tuple[str, ...] = parameter(
        ("auto",),
        "raw takes the image topic, compressed takes image topic + /compressed, auto whichever "
        "delivers first",
        choices=("auto", "raw", "compressed"),
    )
    rectified: tuple[bool, ...] = parameter(
        (False,), "Whether images are rectified already, so that P of CameraInfo applies"
    )
    reductions: tuple[int, ...] = parameter(
        (1,),
        "Decode pictures 1, 2, 4 or 8 times narrower and lower: less CPU time, pixels close to the "
        "exact ones (1); they must stay as large as the network's",
        between=(1, 8),
    )
    frame_ids: tuple[str, ...] = parameter(
        ("",), "Optical frame of the camera; empty takes frame_id of the image's header"
    )
    reliability: str = parameter(
        "best_effort",
        "QoS of image and CameraInfo subscriptions; best_effort matches every publisher",
        choices=("best_effort", "reliable"),
    )
    depth: int = parameter(2, "Messages the middleware keeps per image topic", between=(1, 5))
    decode_threads: int = parameter(
        2, "Threads that decode and prepare images side by side", between=(1, 16)
    )
    masks_file: str = parameter(
        "",
        "YAML file: camera name to polygons of image fractions that show the own vehicle",
        changes=RUN,
    )

    def __post_init__(self) -> None:
        wrong = [value for value in self.reductions if value not in REDUCTIONS]
        if wrong:
            raise ParameterError(
                f"parameter 'cameras.reductions' holds {wrong[0]} but must be one of "
                f"{', '.join(map(str, REDUCTIONS))}"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameParameters:
    """Names of coordinate frames and the mounting of the model frame."""

    fixed: str = parameter("odom", "Frame that does not move and does not jump (REP-105 odom)")
    base: str = parameter("base_link", "Vehicle frame of the published boxes")
    model: str = parameter(
        "", "TF frame the network predicts in; empty uses frames.model_xyz and frames.model_rpy"
    )
    model_xyz: tuple[float, ...] = parameter(
        (0.94, 0.0, 1.84), "Origin of the model frame in the base frame, m", between=(-50, 50)
    )
    model_rpy: tuple[float, ...] = parameter(
        (0.0, 0.0, -math.pi / 2),
        "Roll, pitch, yaw of the model frame in the base frame, rad; the default is the roof LiDAR "
        "of nuScenes, x right and y forward",
        between=(-2 * math.pi, 2 * math.pi),
    )

    def __post_init__(self) -> None:
        for name in ("model_xyz", "model_rpy"):
            _require_length(f"frames.{name}", getattr(self, name), 3)
        if not self.fixed or not self.base or self.fixed == self.base:
            raise ParameterError(
                f"frames.fixed '{self.fixed}' and frames.base '{self.base}' must be two frame names"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoseParameters:
    """Where the vehicle's pose and the mounting of the cameras come from."""

    source: str = parameter(
        "tf",
        "tf, or odometry to take the vehicle pose from pose.odometry_topic and mountings from TF",
        choices=("tf", "odometry"),
    )
    odometry_topic: str = parameter("odometry", "nav_msgs/Odometry topic, used by source odometry")
    extrapolation_s: float = parameter(
        0.0,
        "How far beyond its newest pose a transform may be continued, s; as in tf2, 0 never does",
        between=(0.0, 1.0),
    )
    history_s: float = parameter(10.0, "Time that transforms are kept, s", between=(1.0, 600.0))
    timeout_s: float = parameter(
        0.1,
        "Longest wait for the transforms of a frame set, s; the executor never waits",
        between=(0.0, 10.0),
        changes=RUN,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncParameters:
    """How images become frame sets."""

    policy: str = parameter(
        "own",
        "own groups by learned firing offsets; approximate and exact are the policies of "
        "message_filters",
        choices=("own", "approximate", "exact"),
    )
    min_cameras: int = parameter(
        0, "Fewest cameras of a frame set; 0 demands all of them", between=(0, 64)
    )
    wait_s: float = parameter(
        -1.0,
        "How long a camera may be overdue before a set leaves without it, s; -1: half a period",
        between=(-1.0, 10.0),
    )
    period_s: float = parameter(
        0.0, "Time between exposure cycles, s; 0 measures it", between=(0.0, 60.0)
    )
    window_s: float = parameter(
        0.0,
        "Largest distance of a stamp from its place in the cycle, s; 0 derives it from the period",
        between=(0.0, 30.0),
    )
    offsets_s: tuple[float, ...] = parameter(
        (-1.0,),
        "Firing time of each camera within a cycle, s; a single -1 learns them",
        between=(-1.0, 60.0),
    )
    frozen_after: int = parameter(
        5,
        "Equal pictures in a row from which a camera counts as frozen; 0 never",
        between=(0, 1000),
    )
    queue: int = parameter(10, "Queue of the message_filters policies", between=(1, 100))
    slop_s: float = parameter(
        0.05, "Slop of the approximate policy of message_filters, s", between=(0.0, 10.0)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryParameters:
    """Life of the object memory between frame sets."""

    inference_interval_s: float = parameter(
        0.0,
        "Wanted time between processed frame sets, s; 0 processes all",
        between=(0.0, 60.0),
        changes=RUN,
    )
    memory_interval_s: float = parameter(
        -1.0,
        "Wanted time between sets that enter the memory, s; 0 all, -1 as the weights were trained",
        between=(-1.0, 60.0),
        changes=RUN,
    )
    max_gap_s: float = parameter(
        2.0,
        "Gap between sets beyond which the memory is dropped, s",
        between=(0.01, 600.0),
        changes=RUN,
    )
    max_speed: float = parameter(
        60.0, "Speed beyond which a pose counts as a jump, m/s", between=(0.1, 1000.0)
    )
    max_acceleration: float = parameter(
        20.0, "Acceleration beyond which a pose counts as a jump, m/s^2", between=(0.1, 1000.0)
    )
    max_turn_rate: float = parameter(
        3.0, "Turn rate beyond which a pose counts as a jump, rad/s", between=(0.01, 100.0)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionParameters:
    """Which boxes are published."""

    score_thresholds: tuple[float, ...] = parameter(
        (0.3,),
        "Lowest score: one value for all classes, or one per class of the model",
        between=(0.0, 1.0),
        changes=RUN,
    )
    range_min: tuple[float, ...] = parameter(
        (-61.2, -61.2, -10.0),
        "Smallest x, y, z of a box centre in the base frame, m",
        between=(-_FAR, _FAR),
        changes=RUN,
    )
    range_max: tuple[float, ...] = parameter(
        (61.2, 61.2, 10.0),
        "Largest x, y, z of a box centre in the base frame, m",
        between=(-_FAR, _FAR),
        changes=RUN,
    )
    max_objects: int = parameter(300, "Most objects per message", between=(1, 10000), changes=RUN)
    only_when_subscribed: bool = parameter(
        False,
        "Skip the network while nobody subscribes to any result",
        changes=RUN,
    )

    def __post_init__(self) -> None:
        for name in ("range_min", "range_max"):
            _require_length(f"detection.{name}", getattr(self, name), 3)
        if any(low >= high for low, high in zip(self.range_min, self.range_max, strict=True)):
            raise ParameterError(
                f"detection.range_min {list(self.range_min)} must be below "
                f"detection.range_max {list(self.range_max)} in x, y and z"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticsParameters:
    """What counts as unhealthy."""

    period_s: float = parameter(1.0, "Time between diagnostics, s", between=(0.1, 60.0))
    max_image_age_s: float = parameter(
        0.5, "Image age beyond which a camera is stale, s", between=(0.01, 60.0), changes=RUN
    )
    max_latency_s: float = parameter(
        1.0,
        "Time from reference stamp to publication beyond which a warning is shown, s",
        between=(0.001, 60.0),
        changes=RUN,
    )
    log_period_s: float = parameter(
        5.0,
        "Least time between two log lines of one problem, s",
        between=(0.0, 3600.0),
        changes=RUN,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParameters:
    """The whole tree; field names are ROS parameter names."""

    autostart: bool = parameter(
        True, "Configure and activate at start without a lifecycle manager", changes=START
    )
    model: ModelParameters = field(default_factory=ModelParameters)
    cameras: CameraParameters = field(default_factory=CameraParameters)
    frames: FrameParameters = field(default_factory=FrameParameters)
    pose: PoseParameters = field(default_factory=PoseParameters)
    sync: SyncParameters = field(default_factory=SyncParameters)
    memory: MemoryParameters = field(default_factory=MemoryParameters)
    detection: DetectionParameters = field(default_factory=DetectionParameters)
    tracking: TrackingParameters = field(default_factory=TrackingParameters)
    outputs: OutputParameters = field(default_factory=OutputParameters)
    markers: MarkerParameters = field(default_factory=MarkerParameters)
    overlays: OverlayParameters = field(default_factory=OverlayParameters)
    diagnostics: DiagnosticsParameters = field(default_factory=DiagnosticsParameters)

    def __post_init__(self) -> None:
        count = len(self.cameras.names)
        if len(set(self.cameras.names)) != count or not all(self.cameras.names):
            raise ParameterError(
                f"cameras.names {list(self.cameras.names)} must be different, non-empty names"
            )
        for name in PER_CAMERA:
            _require_one_or_each(f"cameras.{name}", getattr(self.cameras, name), count)
        for name in ("image_topics", "info_topics"):
            _require_different_topics(f"cameras.{name}", getattr(self.cameras, name), count)
        if self.sync.offsets_s != (-1.0,) and (
            len(self.sync.offsets_s) != count or min(self.sync.offsets_s) < 0
        ):
            raise ParameterError(
                f"parameter 'sync.offsets_s' is {list(self.sync.offsets_s)} but must hold one time "
                f"of at least 0 for each of the {count} cameras, or a single -1"
            )
        if self.sync.min_cameras > count:
            raise ParameterError(
                f"parameter 'sync.min_cameras' is {self.sync.min_cameras} but there are only "
                f"{count} cameras"
            )


def _require_length(name: str, values: tuple[float, ...], count: int) -> None:
    if len(values) != count:
        raise ParameterError(
            f"parameter '{name}' holds {len(values)} values but must hold {count}: {list(values)}"
        )


def _require_one_or_each(name: str, values: tuple[object, ...], count: int) -> None:
    if len(values) not in (1, count):
        raise ParameterError(
            f"parameter '{name}' holds {len(values)} values but must hold one, or one for each of "
            f"the {count} cameras of cameras.names"
        )


def _require_different_topics(name: str, topics: tuple[str, ...], count: int) -> None:
    alike = len(set(topics)) != len(topics)
    if alike or (len(topics) == 1 and count > 1 and "{camera}" not in topics[0]):
        raise ParameterError(
            f"parameter '{name}' gives several cameras one topic; write {{camera}} into it or name "
            "a topic for each"
        )
