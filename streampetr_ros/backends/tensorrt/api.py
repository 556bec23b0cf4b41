"""Where the two TensorRT runtimes and their versions differ, and nothing else.

The calls are those that the modules `tensorrt` 10 and 11 and `tensorrt_rtx` 1.x share; what one of
them lacks is asked for here, so that the rest need not know versions.
"""

from __future__ import annotations

import importlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from streampetr_ros.backends.base import BackendError

#: Runtime modules by name, and what to do where one is missing.
RUNTIMES = {
    "tensorrt": "install it with 'pip install tensorrt', on a Jetson with 'apt install tensorrt'",
    "tensorrt_rtx": "install it with 'pip install tensorrt-rtx'",
}

#: Major version of `tensorrt`; `tensorrt_rtx` could do all from its first one on.
_OLDEST = 10
_LOGGER = logging.getLogger(__name__)
_LEVELS = (logging.ERROR, logging.ERROR, logging.WARNING, logging.DEBUG, logging.DEBUG)
_ERROR = 1
_NEWEST_ERRORS = 20


class TensorRt:
    """One installed runtime.

    Args:
        module: `tensorrt`, `tensorrt_rtx`, or a stand-in of the same interface.
        name: key of `RUNTIMES`.

    Attributes:
        module: as given.
        name: as given.
        version: of the runtime.
        log: logger object that every TensorRT object is made with.
    """

    def __init__(self, module: Any, name: str) -> None:
        self.module = module
        self.name = name
        self.version = str(module.__version__)
        self.log = _make_log(module)
        self._loader: Any = None

    @property
    def title(self) -> str:
        """Name and version."""
        return f"{self.name} {self.version}"

    @property
    def builds_for_other_gpus(self) -> bool:
        """Whether engines can be built without the GPU that will run them."""
        return self.name == "tensorrt_rtx"

    def builder(self) -> Any:
        """Create a builder.

        Raises:
            BackendError: if the runtime needs a GPU for it and finds none.
        """
        try:
            return self.module.Builder(self.log)
        except (TypeError, RuntimeError) as error:
            raise BackendError(
                f"{self.title} cannot build engines here{self.reason()}; it needs an NVIDIA GPU "
                "with its driver, or use tensorrt_rtx, which builds without one"
            ) from error

    def network(self, builder: Any) -> Any:
        """Create an empty network that keeps the types written in the graph."""
        # Since version 11 this is so without the flag, which only remains for old programs.
        flag = getattr(self.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        return builder.create_network(0 if flag is None else 1 << int(flag))

    def builder_config(self, builder: Any, compute_capability: str) -> Any:
        """Create a configuration for a GPU; float32 stays float32 (no TF32).

        Args:
            builder: from `builder`.
            compute_capability: such as "8.9".

        Raises:
            BackendError: if the runtime has no kernels for such GPUs.
        """
        config = builder.create_builder_config()
        config.clear_flag(self.module.BuilderFlag.TF32)
        if self.builds_for_other_gpus:
            targets = self.module.ComputeCapability
            target = getattr(targets, f"SM{compute_capability.replace('.', '')}", None)
            if target is None:
                raise BackendError(
                    f"{self.title} cannot build for compute capability {compute_capability}, only "
                    f"for {', '.join(_capabilities(targets))}; use backend tensorrt on other GPUs"
                )
            config.num_compute_capabilities = 1
            if not config.set_compute_capability(target, 0):
                raise BackendError(
                    f"{self.title} refuses compute capability {compute_capability}{self.reason()}; "
                    "install another version of it"
                )
        return config

    def watch(self, config: Any, progress: Callable[[str, int, int], None]) -> Any:
        """Report the steps of a build.

        Args:
            config: from `builder_config`.
            progress: called with a phase, its finished steps and their number.

        Returns:
            What has to be kept until the build ends.
        """
        config.progress_monitor = monitor = _make_monitor(self.module, progress)
        return monitor

    def deserialise(self, engine: bytes) -> Any:
        """Load an engine on the current GPU; None if the runtime refuses it.

        Raises:
            BackendError: if the runtime cannot use the GPU at all.
        """
        if self._loader is None:
            # Engines refer to what loaded them, so it stays as long as this object.
            try:
                self._loader = self.module.Runtime(self.log)
            except (TypeError, RuntimeError) as error:
                raise BackendError(
                    f"{self.title} cannot use the GPU{self.reason()}; check that the driver is new "
                    "enough for this version"
                ) from error
        return self._loader.deserialize_cuda_engine(engine)

    def reason(self) -> str:
        """Return the errors the runtime has logged since the last call, in brackets, or nothing."""
        errors = [" ".join(text.split()) for text in self.log.errors]
        self.log.errors.clear()
        return f" ({errors[-1]})" if errors else ""


def load_tensorrt(name: str) -> TensorRt:
    """Import a runtime.

    Args:
        name: key of `RUNTIMES`.

    Raises:
        BackendError: if it is not installed, too old, or its libraries do not load.
    """
    try:
        module = importlib.import_module(name)
        if not hasattr(module, "Builder"):
            raise ModuleNotFoundError(f"a folder '{name}' on Python's path is no package")
    except ModuleNotFoundError as error:
        raise BackendError(f"backend '{name}' is not installed; {RUNTIMES[name]}") from error
    except (ImportError, OSError) as error:
        raise BackendError(
            f"backend '{name}' is installed but does not load ({error}); repair it: "
            f"{RUNTIMES[name]}"
        ) from error
    runtime = TensorRt(module, name)
    if name == "tensorrt" and int(runtime.version.split(".")[0]) < _OLDEST:
        raise BackendError(
            f"{runtime.title} is too old, since it cannot keep the types of a graph; install "
            f"version {_OLDEST} or newer, on a Jetson JetPack 6.1 or newer"
        )
    return runtime


def _capabilities(targets: Any) -> list[str]:
    numbers = sorted(int(name[2:]) for name in dir(targets) if name[:2] == "SM")
    return [f"{number // 10}.{number % 10}" for number in numbers]


def _make_log(module: Any) -> Any:
    class Log(module.ILogger):  # type: ignore[misc]
        """Passes messages on and keeps the newest errors for explanations."""

        def __init__(self) -> None:
            module.ILogger.__init__(self)
            self.errors: deque[str] = deque(maxlen=_NEWEST_ERRORS)

        def log(self, severity: Any, message: str) -> None:
            """Take a message; the name is TensorRT's."""
            level = min(int(severity), len(_LEVELS) - 1)
            if level <= _ERROR:
                self.errors.append(message)
            # Errors reach the user as exceptions; here they would be said twice.
            _LOGGER.log(min(_LEVELS[level], logging.INFO), "%s", message)

    return Log()


def _make_monitor(module: Any, progress: Callable[[str, int, int], None]) -> Any:
    class Monitor(module.IProgressMonitor):  # type: ignore[misc]
        """Reports phases that are not part of another one, step by step."""

        def __init__(self) -> None:
            module.IProgressMonitor.__init__(self)
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            """Begin a phase."""
            if not parent_phase:
                self._steps[phase_name] = num_steps

        def step_complete(self, phase_name: str, step: int) -> bool:
            """Report a step; building goes on."""
            if phase_name in self._steps:
                progress(phase_name, step + 1, self._steps[phase_name])
            return True

        def phase_finish(self, phase_name: str) -> None:
            """End a phase."""
            self._steps.pop(phase_name, None)

    return Monitor()
