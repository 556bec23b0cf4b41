"""A stand-in for a GPU that is always late: nothing is computed before it has to be.

What is put on the stream runs at once, to have tensors of the right shape, but everything it wrote
is spoiled afterwards. Only handing over runs it again, in its order, on what its sources hold then.
So work beside the stream, images that are used without being handed over, and pictures written
over the staged ones too early all show as wrong numbers.
"""

from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LateStream:
    def __init__(self):
        self._operations = []
        self._written = {}
        self._external = set()
        self.handed_over = 0

    @contextmanager
    def working(self):
        with _Notes(self):
            yield
        self._spoil()

    def hand_over(self, images):
        for function, args, kwargs, before in self._operations:
            known = {start_of(value) for value in tensors((args, kwargs))}
            after = function(*args, **kwargs)
            for old, new in zip(tensors(before), tensors(after), strict=True):
                if start_of(old) not in known:
                    old.copy_(new)
        assert start_of(images) in self._written, "images of another stream"
        self._operations, self._written, self._external = [], {}, set()
        self.handed_over += 1

    def note(self, function, args, kwargs, results):
        self._operations.append((function, args, kwargs, results))
        for value in tensors((args, kwargs)):
            if start_of(value) not in self._written:
                self._external.add(start_of(value))
        for value in tensors(results):
            if start_of(value) not in self._external:
                self._written.setdefault(start_of(value), value)

    def _spoil(self):
        for value in self._written.values():
            value.fill_(float("nan") if value.is_floating_point() else 1)


class _Notes(TorchDispatchMode):
    def __init__(self, stream):
        super().__init__()
        self._stream = stream

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        results = function(*args, **(kwargs or {}))
        self._stream.note(function, args, kwargs or {}, results)
        return results


def tensors(values):
    return [value for value in tree_leaves(values) if isinstance(value, torch.Tensor)]


def start_of(value):
    return value.untyped_storage().data_ptr()
