"""How near a network comes to the limit of the hardware: its matrix work against its time."""

from __future__ import annotations

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from streampetr_ros.core.timing import StageClock
from streampetr_ros.model.detector import Detector
from streampetr_ros.model.state import ModelInputs
from streampetr_ros.tools.benchmark.reference import run_stages

#: Rows and columns of the product that stands for what the hardware can do.
_LARGE = {"cpu": 1024, "cuda": 8192}
_REPETITIONS = 5


def matrix_work(detector: Detector, inputs: ModelInputs, kind: torch.dtype) -> dict[str, float]:
    """Count the matrix work of a frame and find the time that it must take at least.

    Args:
        detector: prepared for inference, on its device.
        inputs: of one frame, there too.
        kind: of the matrix work.

    Returns:
        ``gflop``: products and sums in convolutions, linear layers and attention, 10^9 each;
        ``gflop_per_s``: rate of one large matrix product of this kind on the device;
        ``least_ms``: what the work takes at this rate, milliseconds.
    """
    gflop = counted_gflop(detector, inputs)
    rate = _rate(inputs.images.device, kind)
    return {"gflop": gflop, "gflop_per_s": rate, "least_ms": 1e3 * gflop / rate}


def counted_gflop(detector: Detector, inputs: ModelInputs) -> float:
    """Return the matrix work of encoder, position and head for one frame, 10^9 operations."""
    counter = FlopCounterMode(display=False)
    # Fused attention is one operation, whose parts the counter does not know on every device.
    with sdpa_kernel(SDPBackend.MATH), counter:
        run_stages(detector, inputs, None, StageClock(inputs.images.device))
    return counter.get_total_flops() / 1e9


def _rate(device: torch.device, kind: torch.dtype) -> float:
    """Return the best of several runs of a large product, 10^9 operations per second."""
    size = _LARGE[device.type]
    factor = torch.rand(size, size, device=device).to(kind)
    times = []
    for _ in range(_REPETITIONS):
        clock = StageClock(device)
        with clock.stage("product"):
            torch.mm(factor, factor)
        times.append(clock.timings_ms["product"])
    return 2.0 * size**3 / min(times) / 1e6
