"""A stand-in for TensorRT and its GPU: engines are ONNX files that onnxruntime runs.

It reads inputs from and writes outputs to the addresses it is given, and refuses engines of another
GPU or version as the real one does. Of the interface it has what the version in question has and
the backend uses, with the names, values and results in the Python bindings of NVIDIA/TensorRT
(`python/src` of v10.3.0 and v11.1, wheels of 10.3.0 and 11.4.0); configurations take no other
attributes, as there:

=============================  =======================  ================
                               10                       11
=============================  =======================  ================
NetworkDefinitionCreationFlag  EXPLICIT_BATCH 0,        STRONGLY_TYPED 0
                               STRONGLY_TYPED 1         (ignored)
Builder, Runtime without GPU   TypeError                TypeError
=============================  =======================  ================
"""

import ctypes
import json
from contextlib import contextmanager
from enum import Enum
from types import SimpleNamespace

import numpy as np
import onnxruntime
import torch

from streampetr_ros.backends.tensorrt.api import TensorRt

DataType = Enum("DataType", "FLOAT HALF BF16 INT8 INT32 INT64 BOOL UINT8")
_KINDS = {
    "tensor(float)": (DataType.FLOAT, np.float32),
    "tensor(bool)": (DataType.BOOL, np.bool_),
    "tensor(int64)": (DataType.INT64, np.int64),
}
#: Of `NetworkDefinitionCreationFlag`, by major version.
_FLAGS = {
    10: {"EXPLICIT_BATCH": 0, "STRONGLY_TYPED": 1},
    11: {"STRONGLY_TYPED": 0, "PREFER_JIT_PYTHON_PLUGINS": 1, "PREFER_AOT_PYTHON_PLUGINS": 2},
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


class Severity(Enum):
    """Converts to int, but is none."""

    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4

    def __int__(self):
        return self.value


class ILogger:
    def __init__(self):
        pass


class IProgressMonitor:
    def __init__(self):
        pass


class Dims:
    """A sequence, but no tuple."""

    def __init__(self, values):
        self._values = list(values)

    def __len__(self):
        return len(self._values)

    def __getitem__(self, index):
        return self._values[index]


class Network:
    __slots__ = ("content", "flags")

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


def parser_error(operator):
    """A `ParserError` on an operator."""
    return SimpleNamespace(
        desc=lambda: f"No importer registered for op: {operator}",
        node=lambda: 0,
        node_operator=lambda: operator,
        node_name=lambda: "the_node",
    )


class OnnxParser:
    def __init__(self, network, logger):
        self._network = network
        self._module = logger.module
        self._errors = []

    @property
    def num_errors(self):
        return len(self._errors)

    def get_error(self, index):
        return self._errors[index]

    def parse_from_file(self, model):
        assert isinstance(model, str)
        if self._module.lacks_operator:
            self._errors.append(parser_error(self._module.lacks_operator))
            return False
        with open(model, "rb") as file:
            self._network.content = file.read()
        return True


class Context:
    def __init__(self, engine, gpu):
        self._engine = engine
        self._gpu = gpu
        self._addresses = {}

    def set_tensor_address(self, name, memory):
        if name not in self._engine.names or self._engine.module.refuses_addresses:
            self._engine.module.say(f"Given invalid tensor name: {name}")
            return False
        assert isinstance(memory, int)
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle):
        assert stream_handle == self._gpu.stream
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
        return Dims(self.items[self.names.index(name)].shape)

    def get_tensor_dtype(self, name):
        return _KINDS[self.items[self.names.index(name)].type][0]

    def create_execution_context(self):
        if self.module.is_out_of_memory:
            self.module.say("OutOfMemory: requested 1 GiB")
            return None
        return Context(self, self.module.gpu)


class BuilderConfig:
    __slots__ = ("_cleared", "progress_monitor")

    def __init__(self, cleared):
        self._cleared = cleared
        self.progress_monitor = None

    def clear_flag(self, flag):
        self._cleared.append(flag)


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
        self.cleared = []
        self.network_flags = []
        self.fails_to_run = self.fails_to_build = self.is_out_of_memory = False
        self.refuses_addresses = False
        self.lacks_operator = ""
        self.NetworkDefinitionCreationFlag = SimpleNamespace(**_FLAGS[int(version.split(".")[0])])

    def say(self, error):
        self.logger.log(Severity.ERROR, error)

    def _take(self, logger):
        if self.gpu is None:
            logger.log(Severity.ERROR, "CUDA initialization failure with error: 35")
            raise TypeError("pybind11::init(): factory function returned nullptr")
        self.logger = logger
        logger.module = self

    def Builder(self, logger):
        self._take(logger)
        return SimpleNamespace(
            create_network=self._create_network,
            create_builder_config=lambda: BuilderConfig(self.cleared),
            build_serialized_network=self._build,
        )

    def _create_network(self, flags=0):
        self.network_flags.append(flags)
        return Network(flags)

    def _build(self, network, config):
        self.builds += 1
        if self.fails_to_build:
            self.say(self.fails_to_build)
            return None
        if not self._goes_on(config.progress_monitor):
            return None
        head = {"version": self.__version__, "gpu": self.gpu.compute_capability}
        return memoryview(json.dumps(head).encode() + b"\n" + network.content)

    def _goes_on(self, monitor):
        """Tell a monitor of two phases, one inside the other; it may end the build."""
        if monitor is None:
            return True
        monitor.phase_start("Building engine", None, 2)
        monitor.phase_start("Tactics", "Building engine", 9)
        goes_on = monitor.step_complete("Tactics", 8)
        monitor.phase_finish("Tactics")
        goes_on = goes_on and monitor.step_complete("Building engine", 0)
        monitor.phase_finish("Building engine")
        return goes_on

    def Runtime(self, logger):
        self._take(logger)
        return SimpleNamespace(deserialize_cuda_engine=self._deserialise)

    def _deserialise(self, serialized_engine):
        head, _, content = bytes(serialized_engine).partition(b"\n")
        if json.loads(head) != {
            "version": self.__version__,
            "gpu": self.gpu.compute_capability,
        }:
            self.say("Engine plan file is generated on an incompatible device")
            return None
        return Engine(self, content)


def fake_runtime(version="10.3.0", gpu=None, name="tensorrt"):
    return TensorRt(FakeModule(version, gpu), name)
