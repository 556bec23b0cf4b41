"""Node parameters to the configurations of the core."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from transforms3d.euler import euler2mat

from streampetr_ros.core import geometry
from streampetr_ros.core.config import load_config
from streampetr_ros.core.geometry import Array
from streampetr_ros.ingest.sync.types import SyncConfig
from streampetr_ros.parameters.node import DetectionParameters, FrameParameters, NodeParameters
from streampetr_ros.parameters.outputs import TrackingParameters
from streampetr_ros.parameters.tree import ParameterError
from streampetr_ros.parameters.wiring import (
    PER_CAMERA,
    CameraSettings,
    SyncSeconds,
    WiringError,
    spread_cameras,
)
from streampetr_ros.pipeline.filters import FilterConfig
from streampetr_ros.pipeline.memory_policy import MemoryPolicyConfig
from streampetr_ros.pipeline.streaming import PipelineConfig
from streampetr_ros.preprocess.inputs import CameraMask
from streampetr_ros.track import TrackingConfig

T = TypeVar("T")


def camera_settings(parameters: NodeParameters) -> tuple[CameraSettings, ...]:
    """Spread the lists of the parameters over the cameras."""
    cameras = parameters.cameras
    lists = {name: getattr(cameras, name) for name in PER_CAMERA}
    try:
        return spread_cameras(cameras.names, lists)
    except WiringError as error:
        raise ParameterError(str(error)) from error


def sync_config(parameters: NodeParameters) -> SyncConfig:
    """Return the configuration of the synchroniser."""
    p, names = parameters.sync, parameters.cameras.names
    seconds = SyncSeconds(**{field.name: getattr(p, field.name) for field in fields(SyncSeconds)})
    return _checked(SyncConfig, "sync", cameras=names, **seconds.fields(names))


def filter_config(parameters: DetectionParameters) -> FilterConfig:
    """Return the limits on published boxes."""
    p = parameters
    return _checked(
        FilterConfig,
        "detection",
        score_thresholds=p.score_thresholds,
        range_min=p.range_min,
        range_max=p.range_max,
        max_objects=p.max_objects,
    )


def pipeline_config(parameters: NodeParameters) -> PipelineConfig:
    """Return the configuration of the pipeline.

    Raises:
        ParameterError: if the masks file cannot be used.
    """
    p = parameters.memory
    policy = _checked(
        MemoryPolicyConfig,
        "memory",
        inference_interval=p.inference_interval_s,
        memory_interval=p.memory_interval_s,
        max_gap=p.max_gap_s,
        max_speed=p.max_speed,
        max_acceleration=p.max_acceleration,
        max_turn_rate=p.max_turn_rate,
    )
    cameras = parameters.cameras
    return PipelineConfig(
        policy=policy,
        filters=filter_config(parameters.detection),
        tracking=tracking_config(parameters.tracking),
        cameras=cameras.names,
        masks=read_masks(Path(cameras.masks_file), cameras.names) if cameras.masks_file else (),
        workers=cameras.decode_threads,
    )


def tracking_config(parameters: TrackingParameters) -> TrackingConfig | None:
    """Return the settings of the tracker; None follows no objects.

    Raises:
        ConfigError: if the file of settings cannot be used.
    """
    if not parameters.enabled:
        return None
    if not parameters.config_file:
        return TrackingConfig()
    return load_config(parameters.config_file, TrackingConfig)


def base_from_model(parameters: FrameParameters) -> Array:
    """Return the mounting of the model frame given by parameters, (4, 4)."""
    rotation = euler2mat(*parameters.model_rpy)
    return geometry.transform_from_parts(parameters.model_xyz, rotation)


def read_masks(path: Path, cameras: tuple[str, ...]) -> tuple[CameraMask, ...]:
    """Read polygons that show the own vehicle: camera name to a list of lists of (x, y).

    Args:
        path: YAML file; x and y are fractions of the image's width and height.
        cameras: known names.

    Raises:
        ParameterError: if the file cannot be read or does not have this form.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ParameterError(f"cannot read cameras.masks_file '{path}': {reason}") from error
    if not isinstance(content, Mapping) or not set(content) <= set(cameras):
        raise ParameterError(
            f"cameras.masks_file '{path}' must map names of cameras.names to lists of polygons"
        )
    return tuple(_masks(content, path))


def _masks(content: Mapping[str, Any], path: Path) -> Iterator[CameraMask]:
    for camera, polygons in content.items():
        try:
            for corners in polygons:
                polygon = tuple((float(x), float(y)) for x, y in corners)
                yield CameraMask(camera=camera, polygon=polygon)
        except (TypeError, ValueError) as error:
            raise ParameterError(
                f"cameras.masks_file '{path}': polygons of '{camera}' must be lists of at least "
                f"three [x, y] in fractions of the image ({error})"
            ) from error


def _checked(kind: type[T], group: str, **values: object) -> T:
    """Build a configuration of the core; its complaints name the parameter group."""
    try:
        return cast("Any", kind)(**values)
    except ValueError as error:
        raise ParameterError(f"parameters '{group}': {error}") from error
