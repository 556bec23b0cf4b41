"""A stand-in for TensorRT and its GPU: engines are ONNX files that onnxruntime runs.

It has the interface of the real modules and nothing more, reads inputs from and writes outputs to
the addresses it is given, and refuses engines of another GPU or version as the real one does.
"""

import ctypes
import json
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import onnxruntime
import torch

from streampetr_ros.backends.tensorrt_api import TensorRt

_KINDS = {
    "tensor(float)": ("FLOAT", np.float32),
    "tensor(bool)": ("BOOL", np.bool_),
    "tensor(int64)": ("INT64", np.int64),
}


class FakeGpu:
    """A device whose memory is that of the CPU."""

    title = "fake GPU"
    stream = 77
    torch_device = torch.device("cpu")

    def __init__(self, compute_capability="8.9"):
        self.compute_capability = compute_capability
        self.recorded = 0
        self.is_working = False

    def zeros(self, shape, dtype):
        return torch.zeros(shape, dtype=dtype)

    def record(self, work):
        with self.working():
            work()
        self.recorded += 1
        return work

    @contextmanager
    def working(self):
        self.is_working = True
        try:
            yield
        finally:
            self.is_working = False

    def finish(self):
        assert self.is_working


class ILogger:
    def __init__(self):
        pass


class IProgressMonitor:
    def __init__(self):
        pass


class Network:
    def __init__(self, flags):
        self.flags = flags
        self.content = b""

    @property
    def num_outputs(self):
        return len(session(self.content).get_outputs())

    def get_output(self, index):
        return session(self.content).get_outputs()[index]


def session(content):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


class OnnxParser:
    num_errors = 0

    def __init__(self, network, log):
        self._network = network

    def parse_from_file(self, path):
        with open(path, "rb") as file:
            self._network.content = file.read()
        return True


class Context:
    def __init__(self, engine, gpu):
        self._engine = engine
        self._gpu = gpu
        self._addresses = {}

    def set_tensor_address(self, name, address):
        assert name in self._engine.names
        self._addresses[name] = address

    def execute_async_v3(self, stream):
        assert stream == self._gpu.stream
        assert self._gpu.is_working, "work outside of the device's own stream"
        if self._engine.module.fails_to_run:
            self._engine.module.say("misaligned address")
            return False
        feed = {item.name: self._array(item).copy() for item in self._engine.session.get_inputs()}
        outputs = self._engine.session.get_outputs()
        values = self._engine.session.run([item.name for item in outputs], feed)
        for item, value in zip(outputs, values, strict=True):
            self._array(item)[...] = value
        return True

    def _array(self, item):
        kind = np.dtype(_KINDS[item.type][1])
        count = int(np.prod(item.shape))
        memory = (ctypes.c_byte * (count * kind.itemsize)).from_address(self._addresses[item.name])
        return np.frombuffer(memory, dtype=kind).reshape(item.shape)


class Engine:
    def __init__(self, module, content):
        self.module = module
        self.session = session(content)
        self.items = [*self.session.get_inputs(), *self.session.get_outputs()]
        self.names = [item.name for item in self.items]
        self.num_io_tensors = len(self.items)

    def get_tensor_name(self, index):
        return self.names[index]

    def get_tensor_shape(self, name):
        return self.items[self.names.index(name)].shape

    def get_tensor_dtype(self, name):
        return SimpleNamespace(name=_KINDS[self.items[self.names.index(name)].type][0])

    def create_execution_context(self):
        if self.module.is_out_of_memory:
            self.module.say("OutOfMemory: requested 1 GiB")
            return None
        return Context(self, self.module.gpu)


class FakeModule:
    """Looks like the module `tensorrt` of a version."""

    ILogger = ILogger
    IProgressMonitor = IProgressMonitor
    OnnxParser = OnnxParser
    BuilderFlag = SimpleNamespace(TF32="tf32")

    def __init__(self, version, gpu):
        self.__version__ = version
        self.gpu = gpu
        self.builds = 0
        self.flags = []
        self.fails_to_run = self.fails_to_build = self.is_out_of_memory = False
        major = int(version.split(".")[0])
        names = {8: {"EXPLICIT_BATCH": 0}, 10: {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1}}
        self.NetworkDefinitionCreationFlag = SimpleNamespace(**names.get(major, {}))

    def say(self, error):
        self.log.log(1, error)

    def Builder(self, log):
        self.log = log
        if self.gpu is None:
            raise TypeError("pybind11::init(): factory function returned nullptr")
        return SimpleNamespace(
            create_network=self._create_network,
            create_builder_config=lambda: SimpleNamespace(
                clear_flag=self.flags.append, progress_monitor=None
            ),
            build_serialized_network=self._build,
        )

    def _create_network(self, flags):
        return Network(flags)

    def _build(self, network, config):
        self.builds += 1
        if self.fails_to_build:
            self.say(self.fails_to_build)
            return None
        config.progress_monitor.phase_start("Building engine", None, 2)
        config.progress_monitor.step_complete("Building engine", 0)
        config.progress_monitor.phase_finish("Building engine")
        head = {"version": self.__version__, "gpu": self.gpu.compute_capability}
        return memoryview(json.dumps(head).encode() + b"\n" + network.content)

    def Runtime(self, log):
        self.log = log
        return SimpleNamespace(deserialize_cuda_engine=self._deserialise)

    def _deserialise(self, engine):
        head, _, content = bytes(engine).partition(b"\n")
        if json.loads(head) != {
            "version": self.__version__,
            "gpu": self.gpu.compute_capability,
        }:
            self.say("Engine plan file is generated on an incompatible device")
            return None
        return Engine(self, content)


def fake_runtime(version="10.3.0", gpu=None, name="tensorrt"):
    return TensorRt(FakeModule(version, gpu), name)
