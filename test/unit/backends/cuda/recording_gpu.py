"""A stand-in for a GPU that records: it lives in the CPU's memory and repeats without Python code.

What `record` returns repeats the operations that a piece of work came down to, on the very tensors
it had when it was recorded, as a CUDA graph does. What the work would decide or allocate anew does
not happen again.
"""

from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Tape(TorchDispatchMode):
    """Takes down operations with the tensors that they had."""

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        results = function(*args, **(kwargs or {}))
        self.operations.append((function, args, kwargs or {}, results))
        return results

    @torch.inference_mode()
    def replay(self):
        for function, args, kwargs, before in self.operations:
            known = {start_of(value) for value in tensors(args)}
            after = function(*args, **kwargs)
            for old, new in zip(tensors(before), tensors(after), strict=True):
                # Views and what is written in place see the new numbers already.
                if start_of(old) not in known:
                    old.copy_(new)


def tensors(values):
    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]


def start_of(value):
    return value.untyped_storage().data_ptr()


class RecordingGpu:
    """Takes notes of what runs: "record N" and "replay N" by the order of recording."""

    title = "recording GPU"
    stream = 78
    torch_device = torch.device("cpu")
    compute_capability = "8.9"
    is_recording = True

    def __init__(self):
        self.notes = []
        self.count = 0
        self.is_working = False

    def zeros(self, shape, dtype):
        return torch.zeros(shape, dtype=dtype)

    def record(self, work):
        number = self.count
        self.count += 1
        self.notes.append(f"record {number}")
        with self.working():
            work()
            with Tape() as tape:
                work()

        def replay():
            assert self.is_working, "work outside of the device's own stream"
            self.notes.append(f"replay {number}")
            tape.replay()

        return replay

    @contextmanager
    def working(self):
        self.is_working = True
        try:
            yield
        finally:
            self.is_working = False

    def finish(self):
        assert self.is_working
        self.notes.append("finish")
