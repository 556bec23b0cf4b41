"""The training loop: load, step, log, save; resumable at any checkpoint."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from streampetr_ros.core.config import dump_config
from streampetr_ros.core.errors import UserError, first_line
from streampetr_ros.model.config import DetectorConfig, model_name
from streampetr_ros.training.config import TrainConfig
from streampetr_ros.training.data.dataset import LoadedFrame
from streampetr_ros.training.data.samples import Batch, Moment, collate
from streampetr_ros.training.losses.objective import ClipLosses, Objective, StepRandomness
from streampetr_ros.training.run.optimiser import AveragedWeights, build_optimiser, learning_rate
from streampetr_ros.training.run.processes import Process, lost_processes_named
from streampetr_ros.training.run.progress import Progress
from streampetr_ros.training.run.run_state import Streams, load_state, save_atomically

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """Numbers of one step.

    Attributes:
        losses: by name, their sum as ``total``.
        grad_norm: L2 norm before clipping.
    """

    losses: dict[str, float]
    grad_norm: float


class Trainer:
    """Model, optimiser and streams of one run.

    Args:
        config: of the run.
        objective: detector with its losses, on the device of `process`.
        process: this one.
        folder: for results.
    """

    def __init__(
        self, config: TrainConfig, objective: Objective, process: Process, folder: Path
    ) -> None:
        self.config = config
        self.objective = objective
        self.process = process
        self.folder = folder
        self.step = 0
        self.streams = Streams(config.streams)
        self.optimiser = build_optimiser(objective.named_parameters(), config.optimiser)
        self.scaler = torch.amp.GradScaler(
            process.device.type,
            enabled=config.precision == "fp16" and process.device.type == "cuda",
        )
        decay = config.optimiser.ema_decay
        self.average = AveragedWeights(objective, decay) if decay else None
        self._wrapped: nn.Module = objective
        if process.world_size > 1:
            devices = [process.device] if process.device.type == "cuda" else None
            self._wrapped = DistributedDataParallel(objective, device_ids=devices)

    @property
    def detector_config(self) -> DetectorConfig:
        """Configuration of the detector."""
        return self.objective.detector.config

    def train_step(self, clips: list[list[LoadedFrame]]) -> StepReport:
        """Train on one clip per stream.

        Raises:
            UserError: if losses or gradients are not finite.
        """
        rate = learning_rate(self.step, self.config.optimiser)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["multiplier"]
        self.objective.train()
        streams = [clip[0].stream for clip in clips]
        batches, moments = self._batches(clips, self.streams.moments_of(streams))
        memory = self.streams.memory_of(streams)
        randomness = StepRandomness(self.config.seed, self.step, self.process.rank)
        result: ClipLosses = self._wrapped(batches, memory, randomness)
        total = torch.stack(list(result.losses.values())).sum()
        self._refuse_non_finite(total, result)
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(total).backward()
        self.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(
            self.objective.parameters(), self.config.optimiser.clip_norm
        )
        if not self.scaler.is_enabled() and not torch.isfinite(norm):
            raise UserError(self._advice("gradients are not finite"))
        self.scaler.step(self.optimiser)
        self.scaler.update()
        self.step += 1
        if self.average:
            self.average.update(self.objective, self.step)
        self.streams.keep(streams, result.memory, moments)
        losses = {name: float(value.detach()) for name, value in result.losses.items()}
        return StepReport(losses=losses | {"total": float(total.detach())}, grad_norm=float(norm))

    def _batches(
        self, clips: list[list[LoadedFrame]], moments: list[Moment | None]
    ) -> tuple[list[Batch], list[Moment | None]]:
        """Relate every frame to the one before in its stream and stack the streams.

        Args:
            clips: one per place in the batch.
            moments: of the frame before each clip.

        Returns:
            Batches, oldest first, and the moments of the last.
        """
        batches = []
        for frames in zip(*clips, strict=True):
            previous = [
                moment if frame.continues else None
                for frame, moment in zip(frames, moments, strict=True)
            ]
            batch = collate([frame.sample for frame in frames], previous, self.detector_config)
            moments = list(batch.moments)
            batches.append(batch.to(self.process.device))
        return batches, moments

    def _refuse_non_finite(self, total: torch.Tensor, result: ClipLosses) -> None:
        if torch.isfinite(total) and bool(result.finite):
            return
        names = [name for name, value in result.losses.items() if not torch.isfinite(value)]
        raise UserError(self._advice(f"{', '.join(names) or 'predictions'} not finite"))

    def _advice(self, what: str) -> str:
        return (
            f"step {self.step}: {what}; the last checkpoint in '{self.folder}' is intact, "
            "resume from it with a lower optimiser.learning_rate"
        )

    def state(self) -> dict[str, Any]:
        """Return what all processes share."""
        return {
            "step": self.step,
            "model": model_name(self.config.model),
            "objective": self.objective.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.values if self.average else None,
        }

    def _streams_path(self) -> Path:
        return self.folder / f"streams_{self.process.rank}.pt"

    def save(self) -> None:
        """Write the checkpoint; every process writes its own streams."""
        save_atomically({"step": self.step} | self.streams.state(), self._streams_path())
        self.process.wait_for_all()
        if self.process.is_main:
            save_atomically(self.state(), self.folder / "last.pt")
        self.process.wait_for_all()

    def restore(self) -> None:
        """Go on from the checkpoint in the folder.

        Raises:
            UserError: if it is missing, damaged or belongs to another model.
        """
        path = self.folder / "last.pt"
        state = load_state(path, self.process.device)
        name = model_name(self.config.model)
        if state["model"] != name:
            raise UserError(
                f"'{path}' holds model '{state['model']}', the configuration says '{name}'; use "
                "another result folder"
            )
        try:
            self.objective.load_state_dict(state["objective"])
            self.optimiser.load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"'{path}' was written with another architecture: {first_line(error)}"
            ) from error
        self.scaler.load_state_dict(state["scaler"])
        if self.average and state["average"]:
            self.average.values = state["average"]
        self.step = state["step"]
        self._restore_streams()

    def _restore_streams(self) -> None:
        path = self._streams_path()
        if path.exists():
            streams = load_state(path, self.process.device)
            if streams["step"] == self.step and len(streams["moments"]) == self.config.streams:
                self.streams.restore(streams)
                return
        _LOG.warning("no stream state of step %d in '%s'; streams restart", self.step, path)


@contextmanager
def _stop_wishes() -> Iterator[list[int]]:
    """Turn SIGTERM and SIGINT into wishes to stop after the step at hand."""
    wishes: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: wishes.append(number))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield wishes
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(
    trainer: Trainer, steps: Iterator[list[list[LoadedFrame]]], max_minutes: float = 0.0
) -> bool:
    """Train until the schedule ends, the time is up or a signal asks to stop; save at the end.

    Args:
        trainer: fresh or restored.
        steps: clips of every step from ``trainer.step`` on.
        max_minutes: of this slice; 0 for no limit.

    Returns:
        Whether the schedule is complete.

    Raises:
        UserError: if a frame cannot be loaded, numbers are not finite or the end cannot be
            saved.
    """
    config, process = trainer.config, trainer.process
    progress = None
    if process.is_main:
        dump_config(config, trainer.folder / "config.yaml")
        progress = Progress(trainer.folder, config, trainer.step)
    started = saved = time.monotonic()
    with _stop_wishes() as wishes, lost_processes_named():
        while trainer.step < config.optimiser.steps:
            report = trainer.train_step(_next_clips(steps, trainer))
            if progress:
                numbers = report.losses | {"grad_norm": report.grad_norm}
                progress.add(trainer.step, numbers, trainer.optimiser.param_groups[0]["lr"])
            now = time.monotonic()
            out_of_time = 0 < max_minutes < (now - started) / 60
            if process.any_wants(bool(wishes) or out_of_time):
                break
            if process.any_wants((now - saved) / 60 > config.checkpoint_minutes):
                _save_or_warn(trainer)
                saved = now
    if progress:
        progress.close()
    trainer.save()
    return trainer.step >= config.optimiser.steps


def _next_clips(
    steps: Iterator[list[list[LoadedFrame]]], trainer: Trainer
) -> list[list[LoadedFrame]]:
    """Load a step; if that fails, keep what the steps before it have learned."""
    try:
        return next(steps)
    except (UserError, RuntimeError):
        # Saving takes all processes, and the others wait for this one elsewhere.
        if trainer.process.world_size == 1:
            _save_or_warn(trainer)
        raise


def _save_or_warn(trainer: Trainer) -> None:
    """Save; a disk that is full now may have space when the run ends, so training goes on."""
    try:
        trainer.save()
    except UserError as error:
        _LOG.warning("%s", error)
