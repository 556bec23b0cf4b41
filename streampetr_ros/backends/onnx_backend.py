"""ONNX Runtime on CPU or GPU."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streampetr_ros.backends.base import Backend, BackendError
from streampetr_ros.backends.exported import ExportedModel
from streampetr_ros.backends.position_cache import PositionCache
from streampetr_ros.model.forms.graphs import MEMORY_NAMES, signatures
from streampetr_ros.model.memory import empty_memory
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs

_CUDA = re.compile(r"cuda(?::(\d+))?")
#: Name and options.
_Provider = tuple[str, dict[str, str]]


class OnnxBackend(Backend):
    """Runs an exported detector with ONNX Runtime.

    Args:
        model: exported.
        device: "cpu", "cuda" or "cuda:N".
        threads: CPU threads; 0 leaves the choice to the runtime.

    Raises:
        BackendError: if the runtime or the device is missing, or a file does not load.
    """

    def __init__(self, model: ExportedModel, device: str = "cpu", threads: int = 0) -> None:
        runtime = _runtime()
        provider = _provider(runtime, device)
        self._model = model
        self.config = model.config
        self._device = device
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        self._sessions = {
            name: _session(runtime, self._model, name, options, provider)
            for name in signatures(self.config)
        }
        self._position = PositionCache[dict[str, NDArray[Any]]]()
        self._name = f"onnxruntime {runtime.__version__} {self._model.precision} on {device}"

    @property
    def name(self) -> str:
        """Runtime, precision and device."""
        return self._name

    def run(
        self, inputs: ModelInputs, memory: MemoryState | None
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        """Process one frame; see `Backend.run`."""
        self._model.check_inputs(inputs)
        feed = {key: value.numpy() for key, value in self._feed(inputs, memory).items()}
        feed |= self._call("encoder", feed)
        feed |= self._position.get(inputs, lambda: self._call("position", feed))
        results = self._call("head", feed)
        tensors = {key: torch.from_numpy(value) for key, value in results.items()}
        outputs = DetectorOutputs(tensors["logits"], tensors["codes"])
        if not self.config.temporal:
            return outputs, None
        return outputs, MemoryState(*(tensors[f"next_{name}"] for name in MEMORY_NAMES))

    def _feed(self, inputs: ModelInputs, memory: MemoryState | None) -> dict[str, Tensor]:
        present = inputs.camera_present
        if present is None:
            present = torch.ones(inputs.images.shape[:2], dtype=torch.bool)
        tensors = dict(zip(inputs._fields, (*inputs[:-1], present), strict=True))
        if self.config.temporal:
            if memory is None:
                memory = empty_memory(self.config, 1, torch.device("cpu"))
                tensors["continues"] = torch.zeros(1)
            tensors |= dict(zip(MEMORY_NAMES, memory, strict=True))
        return {key: value.contiguous() for key, value in tensors.items()}

    def _call(self, graph: str, feed: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        table = signatures(self.config)[graph]
        session = self._sessions[graph]
        # An input that does not influence any output is not part of the graph.
        wanted = {item.name for item in session.get_inputs()}
        try:
            values = session.run(
                list(table.outputs), {k: feed[k] for k in table.inputs if k in wanted}
            )
        except Exception as error:
            raise BackendError(
                f"{self._name} cannot run the {graph} of {self.config.name} ({error}); "
                "if memory is short, close other programs or choose a smaller model"
            ) from error
        return dict(zip(table.outputs, (np.asarray(value) for value in values), strict=True))


def _runtime() -> Any:
    try:
        import onnxruntime  # noqa: PLC0415
    except ImportError as error:
        raise BackendError(
            "backend 'onnxruntime' is not installed; install it with 'pip install onnxruntime'"
        ) from error
    return onnxruntime


def _provider(runtime: Any, device: str) -> _Provider:
    cuda = _CUDA.fullmatch(device)
    name = "CUDAExecutionProvider" if cuda else "CPUExecutionProvider"
    if not (cuda or device == "cpu") or name not in runtime.get_available_providers():
        raise BackendError(
            f"onnxruntime cannot use device '{device}' here; install onnxruntime-gpu for cuda or "
            "choose cpu"
        )
    # float32 stays float32, as with the other backends.
    return name, {"device_id": cuda[1] or "0", "use_tf32": "0"} if cuda else {}


def _session(
    runtime: Any, model: ExportedModel, graph: str, options: Any, provider: _Provider
) -> Any:
    try:
        session = runtime.InferenceSession(
            str(model.path(graph)), sess_options=options, providers=[provider]
        )
    except Exception as error:
        raise BackendError(
            f"onnxruntime cannot load '{model.path(graph)}' ({error}); export the model "
            "again, or install the newest onnxruntime"
        ) from error
    # The runtime goes on with the CPU when a provider's libraries or the GPU are missing.
    if provider[0] not in session.get_providers():
        raise BackendError(
            f"onnxruntime cannot use its {provider[0]} here; check the GPU driver and the CUDA and "
            "cuDNN versions that this onnxruntime needs, or choose cpu"
        )
    return session
