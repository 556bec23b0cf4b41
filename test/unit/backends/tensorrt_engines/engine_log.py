"""Engines for three generations of GPUs, with a sentence on each for the end of the log."""

from streampetr_ros.backends.tensorrt.api import load_tensorrt
from streampetr_ros.backends.tensorrt.build import Engines

CAPABILITIES = ("8.6", "8.9", "12.0")


class Story(list):
    """Progress as a list of sentences."""

    def __call__(self, sentence: str) -> None:
        self.append(sentence)

    def built(self) -> int:
        return sum(line.startswith("wrote") for line in self)


def engines(runtime, model, capability, progress):
    return Engines(runtime=runtime, model=model, compute_capability=capability, progress=progress)


def built_engines(title, model, capabilities, log):
    """Build real engines of an exported model; yield the files of each kind of GPU."""
    runtime = load_tensorrt("tensorrt_rtx")
    for capability in capabilities:
        files = engines(runtime, model, capability, Story()).build()
        assert set(files) == {"encoder", "position", "head"}
        sizes = (f"{graph} {path.stat().st_size / 1e6:.1f} MB" for graph, path in files.items())
        log(f"{title} for compute capability {capability} with {runtime.title}: {', '.join(sizes)}")
        yield files
