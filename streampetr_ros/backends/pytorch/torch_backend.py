"""PyTorch on CPU or GPU."""

from __future__ import annotations

import torch
from torch import nn

from streampetr_ros.backends.base import Backend, BackendError, checked_device, one_line_failures
from streampetr_ros.backends.cuda.device import CudaDevice
from streampetr_ros.backends.position_cache import PositionCache
from streampetr_ros.backends.pytorch.recorded_detector import RecordedDetector
from streampetr_ros.model.detector import Detector
from streampetr_ros.model.forms.folding import folded
from streampetr_ros.model.forms.half import make_half
from streampetr_ros.model.position import TokenPosition
from streampetr_ros.model.state import DetectorOutputs, MemoryState, ModelInputs

#: Type of the matrix work by precision; `streampetr_ros.model.forms.half` says what stays float32.
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
#: GPUs before the generation called Ampere only imitate bfloat16.
_BFLOAT16_FROM = (8, 0)


class TorchBackend(Backend):
    """Runs a detector with PyTorch.

    Args:
        detector: with its weights; it is copied and stays as it is.
        device: "cpu", "cuda" or "cuda:N".
        precision: one of `DTYPES`.
        cuda_graphs: one of `CUDA_GRAPHS`; means nothing on the CPU.

    Raises:
        BackendError: if the device is not there, fails, has too little free memory or cannot
            compute in that precision.
        UserError: if a weight does not fit the precision.
    """

    def __init__(
        self,
        detector: Detector,
        device: str = "cpu",
        precision: str = "fp32",
        cuda_graphs: str = "auto",
    ) -> None:
        self.config = detector.config
        self.image_device = checked_device(device)
        with one_line_failures(str(self.image_device), self.config.name):
            self._detector = prepared(detector, self.image_device, precision)
        self._precision = precision
        self._position = PositionCache[TokenPosition]()
        self._recorded: RecordedDetector | None = None
        if self.image_device.type == "cuda" and cuda_graphs != "never":
            self._recorded = RecordedDetector(self._detector, CudaDevice(device, cuda_graphs))

    @property
    def name(self) -> str:
        """Runtime, precision and device."""
        recorded = self._recorded is not None and self._recorded.is_recording
        how = " with CUDA graphs" if recorded else ""
        return f"torch {torch.__version__} {self._precision} on {self.image_device}{how}"

    def run(
        self, inputs: ModelInputs, memory: MemoryState | None
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        """Process one frame; see `Backend.run`."""
        # Graphs are recorded for one stream.
        if self._recorded is not None and len(inputs.images) == 1:
            return self._recorded.run(inputs, memory)
        return self._run_plainly(inputs, memory)

    @torch.inference_mode()
    def _run_plainly(
        self, inputs: ModelInputs, memory: MemoryState | None
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        with one_line_failures(str(self.image_device), self.config.name):
            moved = inputs.to(self.image_device)
            features = self._detector.encode_images(moved.images)
            position = self._position.get(inputs, lambda: self._detector.token_position(moved))
            outputs, next_memory = self._detector.predict(features, position, moved, memory)
        return outputs[-1], next_memory


def prepared(detector: Detector, device: torch.device, precision: str = "fp32") -> Detector:
    """Return the copy of a detector that the backend runs: folded, laid out, on its device.

    Args:
        detector: stays as it is.
        device: that is there.
        precision: one of `DTYPES`.

    Raises:
        BackendError: if the device cannot compute in that precision.
        UserError: if a weight does not fit the precision.
    """
    _check_precision(precision, device)
    copy = folded(detector).to(device)
    # A third faster than channels first with the CPU convolutions of PyTorch 2.13; what the
    # half precision units of GPUs work on.
    if device.type == "cpu" or precision != "fp32":
        for part in (copy.backbone, copy.neck):
            nn.utils.convert_conv2d_weight_memory_format(part, torch.channels_last)
    if precision != "fp32":
        make_half(copy, DTYPES[precision])
    elif device.type == "cuda":
        # Otherwise convolutions would round to 10 bits; products of matrices do not by default.
        torch.backends.cudnn.allow_tf32 = False
    return copy


def _check_precision(precision: str, device: torch.device) -> None:
    if precision not in DTYPES:
        raise BackendError(
            f"backend torch has no precision '{precision}'; choose one of {', '.join(DTYPES)}"
        )
    if precision == "bf16" and device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if capability < _BFLOAT16_FROM:
            raise BackendError(
                f"{device} ({torch.cuda.get_device_name(device)}) has no bfloat16; choose "
                "precision fp16 or fp32"
            )
