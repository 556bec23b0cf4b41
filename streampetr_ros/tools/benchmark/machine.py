"""What a measurement ran on: hardware, versions, and memory it took."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL
import torch


def machine(device: str) -> dict[str, Any]:
    """Name hardware and versions; what is not there is an empty string."""
    on_gpu = device.startswith("cuda") and torch.cuda.is_available()
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "gpu": torch.cuda.get_device_name(device) if on_gpu else "",
        "cuda": torch.version.cuda or "",
        "system": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "pillow": PIL.__version__,
        "simplejpeg": version("simplejpeg"),
    }


def peak_memory_mb() -> float:
    """Return the most memory that this process has had, MB of 2^20 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024.0**2 if sys.platform == "darwin" else 1024.0)


def gpu_memory_mb(device: torch.device) -> dict[str, float] | None:
    """Return the memory of a GPU, MB of 2^20 bytes; None where that is no GPU.

    ``pytorch`` is the most that PyTorch has had at a time, ``in_use`` what all programs have now,
    which includes engines of TensorRT.
    """
    if device.type != "cuda":
        return None
    index = torch.cuda.current_device() if device.index is None else device.index
    free, total = torch.cuda.mem_get_info(index)
    most = torch.cuda.max_memory_allocated(index)
    return {"pytorch": most / 1024.0**2, "in_use": (total - free) / 1024.0**2}


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
