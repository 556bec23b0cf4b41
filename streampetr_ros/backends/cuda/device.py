"""One GPU with a stream of its own: memory, copies and recorded work."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from streampetr_ros.backends.base import BackendError, checked_device
from streampetr_ros.core.errors import first_line

#: What becomes of work as CUDA graphs: recorded, or done with a warning where that fails; recorded,
#: or an error; never recorded.
CUDA_GRAPHS = ("auto", "always", "never")

_LOGGER = logging.getLogger(__name__)


class CudaDevice:
    """A CUDA GPU through PyTorch.

    Args:
        name: "cuda" or "cuda:N".
        graphs: one of `CUDA_GRAPHS`.

    Raises:
        BackendError: if there is no such GPU, or it cannot be used.
    """

    def __init__(self, name: str, graphs: str = "auto") -> None:
        device = checked_device(name)
        if device.type != "cuda":
            raise BackendError(f"TensorRT runs on GPUs only, not on '{name}'; choose device cuda")
        self._device = torch.device("cuda", device.index or 0)
        self._graphs = graphs
        try:
            self._stream = torch.cuda.Stream(self._device)
        except RuntimeError as error:
            raise BackendError(
                f"{self._device} cannot be used ({first_line(error)}); close other programs on it, "
                "or check that the driver is new enough for this PyTorch"
            ) from error

    @property
    def title(self) -> str:
        """Device and product name."""
        return f"{self._device} ({torch.cuda.get_device_name(self._device)})"

    @property
    def torch_device(self) -> torch.device:
        """The GPU as PyTorch names it."""
        return self._device

    @property
    def compute_capability(self) -> str:
        """Generation of the GPU, such as "8.9"."""
        major, minor = torch.cuda.get_device_capability(self._device)
        return f"{major}.{minor}"

    @property
    def stream(self) -> int:
        """Handle of the stream."""
        return int(self._stream.cuda_stream)

    @property
    def is_recording(self) -> bool:
        """Whether work is recorded; False once it could not be."""
        return self._graphs != "never"

    def zeros(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Allocate memory."""
        return torch.zeros(shape, dtype=dtype, device=self._device)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Run work once and capture it as a CUDA graph.

        Returns:
            What repeats the graph, or the work itself if it is not to be or cannot be captured.

        Raises:
            BackendError: if the work fails, or cannot be captured though it always has to be.
        """
        with self.working():
            # Kernels that are compiled or chosen at the first run must not be part of the graph.
            work()
            self.finish()
            return self._captured(work) if self.is_recording else work

    def _captured(self, work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may use the GPU meanwhile.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                work()
        except (RuntimeError, BackendError) as error:
            self.finish()
            # What fails in a capture makes its end fail too.
            cause = None if error.__suppress_context__ else error.__context__
            reason = first_line(cause or error)
            if self._graphs == "always":
                raise BackendError(
                    f"{self.title} cannot record CUDA graphs ({reason}); choose cuda_graphs 'auto' "
                    "or 'never' to run without"
                ) from error
            _LOGGER.warning(
                "running without CUDA graphs, which costs some speed: %s; memory may stay "
                "reserved, so choose cuda_graphs 'never' for the next start",
                reason,
            )
            # The rest would fail likewise.
            self._graphs = "never"
            return work
        return graph.replay

    @contextmanager
    def working(self) -> Iterator[None]:
        """Put copies and work on the stream, behind what the caller has enqueued."""
        with torch.cuda.device(self._device):
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                yield

    def finish(self) -> None:
        """Wait until everything on the stream is done."""
        self._stream.synchronize()
