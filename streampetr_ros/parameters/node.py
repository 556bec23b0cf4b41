"""All parameters of the node, as one tree: the configurations that its parts take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from streampetr_ros.backends.cuda.device import CUDA_GRAPHS
from streampetr_ros.backends.opening import BACKENDS, PRECISIONS, Choice
from streampetr_ros.core.config import ConfigError
from streampetr_ros.core.parameter import RUN, START, parameter
from streampetr_ros.ingest.assembly import VehicleFrames
from streampetr_ros.ingest.sync.types import SyncConfig
from streampetr_ros.parameters.inputs import CameraParameters, PoseParameters, SyncParameters
from streampetr_ros.parameters.outputs import (
    MarkerParameters,
    OutputParameters,
    OverlayParameters,
    TrackingParameters,
)
from streampetr_ros.parameters.tree import leaves
from streampetr_ros.pipeline.filters import FilterConfig
from streampetr_ros.pipeline.memory_policy import MemoryPolicyConfig

_FAR = 1000.0
#: Parameters that ROS itself declares on every node.
_OF_ROS = ("use_sim_time", "start_type_description_service")
_OF_ROS_PREFIX = ("qos_overrides.", "ros_")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelParameters:
    """Which network runs, and where."""

    name: str = parameter(
        "", "Model name or its YAML file; empty takes the one stored with the weights"
    )
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

    @property
    def choice(self) -> Choice:
        """What opens a network."""
        return Choice(**{each.name: getattr(self, each.name) for each in fields(Choice)})


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionParameters(FilterConfig):
    """Which boxes are published."""

    score_thresholds: tuple[float, ...] = parameter(
        (0.3,),
        "Lowest score: one value for all classes, or one per class of the model",
        between=(0.0, 1.0),
        changes=RUN,
    )
    range_min: tuple[float, float, float] = parameter(
        (-61.2, -61.2, -10.0),
        "Smallest x, y, z of a box center in the base frame, m",
        between=(-_FAR, _FAR),
        changes=RUN,
    )
    range_max: tuple[float, float, float] = parameter(
        (61.2, 61.2, 10.0),
        "Largest x, y, z of a box center in the base frame, m",
        between=(-_FAR, _FAR),
        changes=RUN,
    )
    max_objects: int = parameter(300, "Most objects per message", between=(1, 10000), changes=RUN)
    only_when_subscribed: bool = parameter(
        False,
        "Skip the network while nobody subscribes to any result",
        changes=RUN,
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
    frames: VehicleFrames = field(default_factory=VehicleFrames)
    pose: PoseParameters = field(default_factory=PoseParameters)
    sync: SyncParameters = field(default_factory=SyncParameters)
    memory: MemoryPolicyConfig = field(default_factory=MemoryPolicyConfig)
    detection: DetectionParameters = field(default_factory=DetectionParameters)
    tracking: TrackingParameters = field(default_factory=TrackingParameters)
    outputs: OutputParameters = field(default_factory=OutputParameters)
    markers: MarkerParameters = field(default_factory=MarkerParameters)
    overlays: OverlayParameters = field(default_factory=OverlayParameters)
    diagnostics: DiagnosticsParameters = field(default_factory=DiagnosticsParameters)

    def __post_init__(self) -> None:
        count = len(self.cameras.names)
        offsets_s = self.sync.offsets_s
        if offsets_s != (-1.0,) and (len(offsets_s) != count or min(offsets_s) < 0):
            raise ConfigError(
                f"parameter 'sync.offsets_s' is {list(offsets_s)} but must hold one time of at "
                f"least 0 for each of the {count} cameras, or a single -1"
            )
        if self.sync.min_cameras > count:
            raise ConfigError(
                f"parameter 'sync.min_cameras' is {self.sync.min_cameras} but there are only "
                f"{count} cameras"
            )

    def sync_config(self, cameras: Sequence[str] = ()) -> SyncConfig:
        """Return the configuration of the synchroniser.

        Args:
            cameras: those that there are, where others than ``cameras.names``.

        Raises:
            ConfigError: if the parameters do not fit these cameras.
        """
        p, names = self.sync, self.cameras.names
        offsets_ns = dict(zip(names, map(_nanoseconds, p.offsets_s), strict=False))
        try:
            return SyncConfig(
                cameras=tuple(cameras) or names,
                min_cameras=p.min_cameras or None,
                offsets_ns=None if p.offsets_s == (-1.0,) else offsets_ns,
                period_ns=_nanoseconds(p.period_s) or None,
                window_ns=_nanoseconds(p.window_s) or None,
                wait_ns=None if p.wait_s < 0 else _nanoseconds(p.wait_s),
                frozen_after=p.frozen_after,
            )
        except ValueError as error:
            raise ConfigError(f"parameters 'sync': {error}") from error


def is_of_ros(name: str) -> bool:
    """Tell whether ROS itself declares a parameter of this name."""
    return name in _OF_ROS or name.startswith(_OF_ROS_PREFIX)


def is_of_node(name: str) -> bool:
    """Tell whether a parameter may be meant for this node: by its group, or for any node."""
    group, dot, _ = name.partition(".")
    return is_of_ros(name) or any(
        leaf.name == name or (dot and leaf.name.startswith(f"{group}."))
        for leaf in leaves(NodeParameters)
    )


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
