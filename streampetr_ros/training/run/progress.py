"""Curves on disk, for TensorBoard, and a line on the terminal."""

from __future__ import annotations

import csv
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from streampetr_ros.core.errors import UserError
from streampetr_ros.training.config import TrainConfig

_LOG = logging.getLogger(__name__)
_SHOWN = ("total", "loss_cls", "loss_bbox", "grad_norm")


class Curves:
    """Means of the losses between rows, appended to a CSV file.

    Args:
        path: CSV file; rows at or after `first_step` are dropped, they will be made again.
        first_step: step the run (re)starts at.
    """

    def __init__(self, path: Path, first_step: int) -> None:
        self._path = path
        self._sums: dict[str, float] = {}
        self._count = 0
        if path.exists():
            header, *rows = self._rows() or [[]]
            kept = [row for row in rows if row and row[0].isdigit() and int(row[0]) <= first_step]
            with path.open("w", newline="", encoding="utf-8") as stream:
                csv.writer(stream).writerows([header, *kept] if header else [])

    def add(self, values: Mapping[str, float]) -> None:
        """Add the values of one step."""
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def add_constant(self, name: str, value: float) -> None:
        """Add a value that is the same for all steps since the last row."""
        self._sums[name] = value * self._count

    def write(self, step: int) -> dict[str, float]:
        """Append the means since the last row and return them.

        Columns are those of the file's first row; names unknown to it are left out.
        """
        means = {name: total / max(self._count, 1) for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        rows = self._rows() if self._path.exists() else []
        columns = rows[0] if rows else ["step", *sorted(means)]
        with self._path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if not rows:
                writer.writerow(columns)
            writer.writerow([step, *(f"{means.get(name, 0.0):.6g}" for name in columns[1:])])
        return means

    def _rows(self) -> list[list[str]]:
        with self._path.open(newline="", encoding="utf-8") as stream:
            return list(csv.reader(stream))


class Progress:
    """Curves of a run, and a line on the terminal with its main losses and the time left.

    A disk that is full costs points of the curves, never the run.

    Args:
        folder: for results.
        config: of the run.
        first_step: step the run (re)starts at.

    Raises:
        UserError: if curves for TensorBoard are wanted and tensorboardX is not installed.
    """

    def __init__(self, folder: Path, config: TrainConfig, first_step: int) -> None:
        self._every = config.log_steps
        self._curves = Curves(folder / "curves.csv", first_step)
        self._board = _board(folder / "tensorboard", first_step) if config.tensorboard else None
        self._bar = tqdm(
            total=config.optimiser.steps, initial=first_step, unit="step", mininterval=5.0
        )

    def add(self, step: int, losses: Mapping[str, float], rate: float) -> None:
        """Take the numbers of the step just made."""
        self._bar.update()
        self._curves.add(losses)
        if step % self._every:
            return
        self._curves.add_constant("learning_rate", rate)
        try:
            means = self._curves.write(step)
            if self._board:
                for name, value in means.items():
                    self._board.add_scalar(name, value, step)
                self._board.flush()
        except OSError as error:
            _LOG.warning("step %d: cannot write curves: %s", step, error.strerror or error)
        else:
            shown = {name: f"{means[name]:.3g}" for name in _SHOWN if name in means}
            self._bar.set_postfix(shown)

    def close(self) -> None:
        """Finish the files and leave the terminal in order."""
        self._bar.close()
        if self._board:
            self._board.close()


def _board(folder: Path, first_step: int) -> Any:
    """Open curves for TensorBoard; what an earlier part wrote beyond the first step is hidden."""
    try:
        from tensorboardX import SummaryWriter  # noqa: PLC0415
    except ImportError as error:
        raise UserError(
            f"curves for TensorBoard need tensorboardX ({error}); install it with: "
            "pip install 'streampetr_ros[curves]', or set tensorboard: false"
        ) from error
    return SummaryWriter(str(folder), purge_step=first_step + 1)
