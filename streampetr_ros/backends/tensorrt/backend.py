"""TensorRT on a GPU: engines that are recorded and repeated."""

from __future__ import annotations

from collections.abc import Mapping

from streampetr_ros.backends.base import Backend, BackendError, one_line_failures
from streampetr_ros.backends.cuda.device import CudaDevice
from streampetr_ros.backends.cuda.graphs import RecordedSteps
from streampetr_ros.backends.exported import ExportedModel
from streampetr_ros.backends.tensorrt.api import TensorRt
from streampetr_ros.backends.tensorrt.build import BuildProgress, Engines
from streampetr_ros.backends.tensorrt.engine import TensorRtEngine
from streampetr_ros.model.forms.graphs import example_tensors
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs


class TensorRtBackend(Backend):
    """Runs an exported detector; ready at full speed when constructed.

    Args:
        model: exported.
        runtime: to build and run engines with.
        device: with the GPU.
        progress: told about building.

    Raises:
        BackendError: if an engine can neither be loaded nor built, or memory is short.
    """

    def __init__(
        self, model: ExportedModel, runtime: TensorRt, device: CudaDevice, progress: BuildProgress
    ) -> None:
        self._model = model
        self.config = model.config
        self.image_device = device.torch_device
        self._device = device
        self._name = f"{runtime.title} {model.precision} on {device.title}"
        built = Engines(
            runtime=runtime,
            model=model,
            compute_capability=device.compute_capability,
            progress=progress,
        )
        with one_line_failures(device.title, model.config.name):
            # The runtimes build and load on the GPU that is current.
            with device.working():
                engines = {graph: TensorRtEngine(built, graph, device) for graph in built.files}
            self.engine_files = tuple(built.files.values())
            _check_tensors(model, engines)
            self._steps = RecordedSteps(
                model.config,
                device,
                model.cameras,
                lambda graph, tensors: engines[graph].enqueue(tensors),
                always_masked=True,
            )

    @property
    def name(self) -> str:
        """Runtime, precision and device."""
        return self._name

    def run(
        self, inputs: ModelInputs, memory: MemoryState | None
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        """Process one frame; see `Backend.run`. Outputs are on the CPU, the memory is not."""
        self._model.check_inputs(inputs)
        with one_line_failures(self._device.title, self.config.name):
            return self._steps.run(inputs, memory)


def _check_tensors(model: ExportedModel, engines: Mapping[str, TensorRtEngine]) -> None:
    """Refuse engines whose tensors are not those that graphs are exported with."""
    examples = example_tensors(model.config, model.cameras)
    expected = {name: (tuple(value.shape), value.dtype) for name, value in examples.items()}
    for graph, engine in engines.items():
        for name, found in engine.tensors.items():
            needed = expected.get(name.removeprefix("next_"))
            if found != needed:
                raise BackendError(
                    f"the {graph} in '{model.folder}' has '{name}' as {found}, needed is {needed}; "
                    "export the model again"
                )
