"""Curves on disk, for TensorBoard, and a line on the terminal."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

from streampetr_ros.core.errors import UserError


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
        self._drop_after(first_step)

    def _drop_after(self, first_step: int) -> None:
        if not self._path.exists():
            return
        with self._path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))
        kept = rows[:1] + [r for r in rows[1:] if r and r[0].isdigit() and int(r[0]) <= first_step]
        with self._path.open("w", newline="", encoding="utf-8") as stream:
            csv.writer(stream).writerows(kept)

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
        fresh = not self._path.exists() or not self._path.stat().st_size
        columns = ["step", *sorted(means)] if fresh else self._columns()
        with self._path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if fresh:
                writer.writerow(columns)
            writer.writerow([step, *(f"{means.get(name, 0.0):.6g}" for name in columns[1:])])
        return means

    def _columns(self) -> list[str]:
        with self._path.open(newline="", encoding="utf-8") as stream:
            return next(csv.reader(stream))


class Board:
    """Curves for TensorBoard.

    Args:
        folder: of the event files.
        first_step: step the run (re)starts at; what an earlier part wrote beyond is hidden.

    Raises:
        UserError: if tensorboardX is not installed.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        try:
            from tensorboardX import SummaryWriter  # noqa: PLC0415
        except ImportError as error:
            raise UserError(
                f"curves for TensorBoard need tensorboardX ({error}); install it with: "
                "pip install 'streampetr_ros[curves]', or set tensorboard: false"
            ) from error
        self._writer = SummaryWriter(str(folder), purge_step=first_step + 1)

    def write(self, step: int, means: Mapping[str, float]) -> None:
        """Add one point to every curve."""
        for name, value in means.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()


class Terminal:
    """Progress bar with the main losses and the time left.

    Args:
        steps: of the whole run.
        first_step: done before.
        shown: False for the processes that stay silent.
    """

    def __init__(self, steps: int, first_step: int, shown: bool) -> None:
        self._bar = tqdm(
            total=steps, initial=first_step, disable=not shown, unit="step", mininterval=5.0
        )
        self._started = time.monotonic()

    def advance(self) -> None:
        """Count one step."""
        self._bar.update()

    def show(self, means: Mapping[str, float]) -> None:
        """Show the means of the main losses."""
        main = ("total", "loss_cls", "loss_bbox", "grad_norm")
        self._bar.set_postfix({name: f"{means[name]:.3g}" for name in main if name in means})

    def close(self) -> None:
        """Leave the terminal in order."""
        self._bar.close()
