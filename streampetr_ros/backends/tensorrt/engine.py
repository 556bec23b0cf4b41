"""One loaded engine and its execution context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.cuda.device import CudaDevice
from streampetr_ros.backends.tensorrt.build import Engines

_TYPES = {"FLOAT": torch.float32, "HALF": torch.float16, "BOOL": torch.bool}


class TensorRtEngine:
    """Runs one graph on one device.

    Args:
        engines: of the model, for this kind of device.
        graph: "encoder", "position" or "head".
        device: with the GPU.

    Raises:
        BackendError: if it can neither be loaded nor built.
    """

    def __init__(self, engines: Engines, graph: str, device: CudaDevice) -> None:
        self._runtime = engines.runtime
        self._device = device
        self._title = f"{graph} of {engines.model.config.name}"
        self._engine = _loaded(engines, graph, device.title)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise BackendError(
                f"{device.title} has too little free memory for the {self._title}"
                f"{self._runtime.reason()}; close other programs on it or choose a smaller model"
            )

    @property
    def tensors(self) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """Shape and type of every input and output by name.

        Raises:
            BackendError: if one has a type that exported graphs never have.
        """
        engine = self._engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        kinds = {name: engine.get_tensor_dtype(name).name for name in names}
        for name, kind in kinds.items():
            if kind not in _TYPES:
                raise BackendError(
                    f"tensor '{name}' in the {self._title} is of type {kind}; export it again"
                )
        return {name: (tuple(engine.get_tensor_shape(name)), _TYPES[kinds[name]]) for name in names}

    def enqueue(self, tensors: Mapping[str, Tensor]) -> None:
        """Put a run on the device's stream.

        Args:
            tensors: device tensors of at least this engine's names; they must stay alive.

        Raises:
            BackendError: if the runtime refuses.
        """
        context = self._context
        placed = [
            context.set_tensor_address(name, tensors[name].data_ptr()) for name in self.tensors
        ]
        if not all(placed) or not context.execute_async_v3(self._device.stream):
            raise BackendError(
                f"{self._runtime.title} cannot run the {self._title} on {self._device.title}"
                f"{self._runtime.reason()}; restart, and if it stays, try backend onnxruntime"
            )


def _loaded(engines: Engines, graph: str, device: str) -> Any:
    runtime = engines.runtime
    engine = runtime.deserialise(engines.read(graph))
    if engine is None:
        engines.progress(
            f"building {graph} again, because the engine does not load{runtime.reason()}"
        )
        engine = runtime.deserialise(engines.rebuild(graph))
    if engine is None:
        raise BackendError(
            f"{runtime.title} cannot load the {graph} it built for {device}{runtime.reason()}; "
            "check that the driver is new enough for this version"
        )
    return engine
