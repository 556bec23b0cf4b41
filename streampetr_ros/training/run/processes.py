"""One process, or many under torchrun; nothing here starts processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import distributed

from streampetr_ros.core.errors import UserError, first_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """This process among those of the run.

    Attributes:
        rank: 0 for the one that writes results.
        world_size: processes of the run.
        device: where its model lives.
    """

    rank: int
    world_size: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this process writes results."""
        return self.rank == 0

    def wait_for_all(self) -> None:
        """Return when every process has come here."""
        if self.world_size > 1:
            distributed.barrier()

    def any_wants(self, wish: bool) -> bool:
        """Tell every process whether one of them wishes something (such as to stop)."""
        if self.world_size == 1:
            return wish
        value = torch.tensor([float(wish)], device=self.device)
        distributed.all_reduce(value, op=distributed.ReduceOp.MAX)
        return bool(value)


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Have this thread of a CPU take numbers too small to be normal for zero.

    Attention that has learned where to look gives such weights nearly everywhere else; computing
    with them exactly made a training step of the small model take twice the time.
    """
    # NumPy measures its types when first asked, and would warn about this mode.
    for kind in (np.float32, np.float64):
        np.finfo(kind).smallest_subnormal  # noqa: B018
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


def _device(name: str, local_rank: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name, local_rank) if name == "cuda" else torch.device(name)


@contextmanager
def lost_processes_named() -> Iterator[None]:
    """Say what to do when a process that this one waits for is killed or ended.

    Raises:
        UserError: in that case.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        # PyTorch notices a loading process that is killed at any point of the block.
        if "DataLoader worker" in text:
            raise UserError(
                f"a loading process ended ({first_line(error)}), often for lack of memory; go on "
                "with --resume and fewer data.workers"
            ) from error
        lost = "closed by peer" in text or "reset by peer" in text
        if lost or isinstance(error, distributed.DistError):
            raise UserError(
                "another process of this run ended, its own message says why; go on from the last "
                "checkpoint with --resume"
            ) from error
        raise


@contextmanager
def joined_run(device: str = "auto") -> Iterator[Process]:
    """Join the run that the environment describes (torchrun's variables), or run alone.

    Args:
        device: "auto", "cpu" or "cuda".

    Yields:
        This process; CPU runs talk over gloo, GPU runs over NCCL.
    """
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    place = _device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if world_size > 1:
        distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Process(rank=rank, world_size=world_size, device=place)
    finally:
        if world_size > 1:
            distributed.destroy_process_group()
