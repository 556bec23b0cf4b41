"""From parameters to the running network, with the fall-back that they allow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from rclpy.impl.rcutils_logger import RcutilsLogger

from streampetr_ros.backends.base import Backend, BackendError
from streampetr_ros.backends.opening import open_backend
from streampetr_ros.backends.tensorrt.api import RUNTIMES
from streampetr_ros.core.config import ConfigError
from streampetr_ros.parameters.node import ModelParameters


def open_configured_backend(
    parameters: ModelParameters,
    logger: RcutilsLogger,
    begin: Callable[[Backend], None] = lambda _: None,
) -> Backend:
    """Open what the parameters name.

    Args:
        parameters: of the model.
        logger: told about engines being built and about falling back.
        begin: uses the backend for the first time; where that fails, again with the other one.

    Raises:
        UserError: if weights or graphs are missing or cannot be used.
        BackendError: if runtime or device cannot be used and falling back is not allowed, which it
            never is where engines are to be built.
    """
    if not parameters.weights:
        raise ConfigError(
            "parameter 'model.weights' is empty; name a .safetensors file written by 'streampetr "
            "convert', or 'random:0' to try topics and timing without trained weights"
        )
    try:
        opened = _opened(parameters, parameters.device, parameters.backend, logger)
        begin(opened)
    except BackendError as error:
        if parameters.build_only or not parameters.fall_back_to_cpu:
            raise
        backend = "onnxruntime" if parameters.backend in RUNTIMES else parameters.backend
        opened = _opened(parameters, "cpu", backend, logger)
        begin(opened)
        logger.warning(
            f"{error}; running on {opened.name} instead, as parameter 'model.fall_back_to_cpu' "
            "allows"
        )
    return opened


def readiness(backend: Backend) -> str:
    """Say which engine files an opened backend has made sure of."""
    if not backend.engine_files:
        return f"{backend.name} needs no engines; nothing was built"
    return f"engines are ready: {', '.join(map(str, backend.engine_files))}"


def _opened(
    parameters: ModelParameters, device: str, backend: str, logger: RcutilsLogger
) -> Backend:
    choice = replace(parameters.choice, backend=backend, device=device)
    return open_backend(parameters.weights, parameters.name, choice, logger.info)
