"""From parameters, and the files that they name, to the configuration of the pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from streampetr_ros.core.config import ConfigError, load_config
from streampetr_ros.core.reading import read_yaml
from streampetr_ros.parameters.node import NodeParameters
from streampetr_ros.parameters.outputs import TrackingParameters
from streampetr_ros.pipeline.streaming import PipelineConfig
from streampetr_ros.preprocess.inputs import CameraMask
from streampetr_ros.track import TrackingConfig


def pipeline_config(parameters: NodeParameters) -> PipelineConfig:
    """Return the configuration of the pipeline.

    Raises:
        UserError: if the file of masks or of tracker settings cannot be used.
    """
    cameras = parameters.cameras
    return PipelineConfig(
        policy=parameters.memory,
        filters=parameters.detection,
        tracking=_tracking_config(parameters.tracking),
        cameras=cameras.names,
        masks=read_masks(Path(cameras.masks_file), cameras.names) if cameras.masks_file else (),
        workers=cameras.decode_threads,
    )


def _tracking_config(parameters: TrackingParameters) -> TrackingConfig | None:
    """Return the settings of the tracker; None follows no objects."""
    if not parameters.enabled:
        return None
    file = parameters.config_file
    return load_config(file, TrackingConfig) if file else TrackingConfig()


def read_masks(path: Path, cameras: tuple[str, ...]) -> tuple[CameraMask, ...]:
    """Read polygons that show the own vehicle: camera name to a list of lists of (x, y).

    Args:
        path: YAML file; x and y are fractions of the image's width and height.
        cameras: known names.

    Raises:
        FileError: if the file cannot be read or is no YAML.
        ConfigError: if it does not have this form.
    """
    content = read_yaml(path, "cameras.masks_file")
    if not isinstance(content, Mapping) or not set(content) <= set(cameras):
        raise ConfigError(
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
            raise ConfigError(
                f"cameras.masks_file '{path}': polygons of '{camera}' must be lists of at least "
                f"three [x, y] in fractions of the image ({error})"
            ) from error
