"""A golden recording with the detector under test and all that is seen inside it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from recording import Recording
from torch import Tensor, nn

from streampetr_ros.model.detector import Detector
from streampetr_ros.model.state import DetectorOutputs, MemoryState

Seen = dict[str, list[Tensor]]
_VOVNET_STAGES = {"stem": "stem", **{f"stage{i + 2}": f"stages.{i}" for i in range(4)}}
_RESNET_STAGES = {name: name for name in ("maxpool", "layer1", "layer2", "layer3", "layer4")}


class Subject:
    """Runs frames of a recording; image features are computed once per frame."""

    def __init__(self, recording: Recording, detector: Detector) -> None:
        self.recording = recording
        self.detector = detector
        self._features: dict[int, tuple[Tensor, Seen]] = {}

    def features(self, frame: int) -> tuple[Tensor, Seen]:
        """Return image features (1, N, C, h, w), and the maps of backbone and neck by name."""
        if frame not in self._features:
            with torch.inference_mode(), outputs_of(self._encoder_parts()) as maps:
                features = self.detector.encode_images(self.recording.images(frame))
            self._features[frame] = (features, maps if frame < 2 else {})
        return self._features[frame]

    def run(
        self, frame: int, memory: MemoryState | None
    ) -> tuple[DetectorOutputs, MemoryState | None]:
        """Run one frame on a given memory."""
        inputs = self.recording.inputs(frame, torch.zeros(0))
        features, _ = self.features(frame)
        with torch.inference_mode():
            position = self.detector.token_position(inputs)
            outputs, memory = self.detector.predict(features, position, inputs, memory)
        return outputs[-1], memory

    def run_stepwise(self, frame: int) -> tuple[DetectorOutputs, MemoryState | None]:
        """Run one frame on the memory recorded before it."""
        follows = frame and self.recording.config.temporal
        return self.run(frame, self.recording.memory(frame - 1) if follows else None)

    def note(self, mode: str, frame: int, values: dict[str, float]) -> None:
        """Add a line to the parity table, when one is asked for."""
        path = os.environ.get("STREAMPETR_PARITY_TABLE")
        if path:
            row = {"config": self.recording.name, "mode": mode, "frame": frame, **values}
            with Path(path).open("a") as file:
                file.write(json.dumps(row) + "\n")

    def _encoder_parts(self) -> dict[str, nn.Module]:
        backbone = self.detector.backbone
        vovnet = self.recording.config.backbone == "vovnet99"
        names = _VOVNET_STAGES if vovnet else _RESNET_STAGES
        parts = {f"backbone.{theirs}": ours for theirs, ours in names.items()}
        modules = {name: backbone.get_submodule(path) for name, path in parts.items()}
        neck = self.detector.neck
        return modules | {"neck.0": neck.smooth, "neck.1": neck.lateral32}


@contextmanager
def outputs_of(modules: dict[str, nn.Module]) -> Iterator[Seen]:
    """Collect what modules return, call by call."""
    seen: Seen = {name: [] for name in modules}

    def keep(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        return lambda module, args, result: seen[name].append(result)

    hooks = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def differences(
    outputs: DetectorOutputs, expected_cls: np.ndarray, expected_box: np.ndarray
) -> dict[str, float]:
    """Largest absolute differences to recorded logits (Q, G) and codes (Q, 10)."""
    logits = outputs.logits[0].double()
    expected = torch.from_numpy(expected_cls).double()
    box = (outputs.codes[0] - torch.from_numpy(expected_box)).abs()
    return {
        "logits": float((logits - expected).abs().max()),
        "logits_rms": float((logits - expected).square().mean().sqrt()),
        "scores": float((logits.sigmoid() - expected.sigmoid()).abs().max()),
        "centers_m": float(box[:, 0:3].max()),
        "log_sizes": float(box[:, 3:6].max()),
        "sin_cos": float(box[:, 6:8].max()),
        "velocities": float(box[:, 8:10].max()),
    }
