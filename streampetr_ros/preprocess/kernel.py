"""The compiled resize (`native/resize.c`), where it was built and the processor can run it.

It needs nothing but the taps that `resampling` computes, and gives Pillow's pixels because the sums
are taken in the same integers. `colcon build`, `scripts/setup` and `pip install` build it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streampetr_ros.core.native import library
from streampetr_ros.preprocess.resampling import Taps

#: As in the source of the library: source columns weighed together, bits of the lower part of a
#: weight.
_GROUP, _LOW_BITS = 4, 11


class Look(ctypes.Structure):
    """How levels become numbers: a level less the mean, then times the scale; see `look_of`."""

    _fields_ = (
        ("means", ctypes.c_float * 3),
        ("scales", ctypes.c_float * 3),
        ("channels", ctypes.c_int32 * 3),
    )


def look_of(means: Sequence[float], scales: Sequence[float], channels: Sequence[int]) -> Look:
    """Describe the three planes of a network image.

    Args:
        means: per plane.
        scales: per plane.
        channels: channel of the picture that each plane shows, 0 to 2.

    Raises:
        ValueError: if these are not three of each, or a channel is another.
    """
    if {len(means), len(scales), len(channels)} != {3} or not set(channels) <= {0, 1, 2}:
        raise ValueError(f"no three planes: {means}, {scales}, {channels}")
    return Look(tuple(means), tuple(scales), tuple(channels))


class _Plan(ctypes.Structure):
    """Layout of ``Plan`` in the library."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("source_width", "source_height", "width", "height")),
        *((name, ctypes.c_int32) for name in ("groups", "row_taps")),
        *((name, ctypes.c_void_p) for name in ("column_first", "column_weights")),
        *((name, ctypes.c_void_p) for name in ("row_first", "row_weights")),
    )


class _Job(ctypes.Structure):
    """Layout of ``Job`` in the library."""

    _fields_ = (
        ("plan", ctypes.POINTER(_Plan)),
        ("instructions", ctypes.c_int32),
        ("source", ctypes.c_void_p),
        ("step", ctypes.c_ssize_t),
        ("levels", ctypes.c_void_p),
        ("look", ctypes.POINTER(Look)),
        ("planes", ctypes.c_void_p),
        ("bands_taken", ctypes.c_int),
        ("lacks_memory", ctypes.c_int),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Running:
    """A picture in work.

    Attributes:
        job: for the library.
        held: what it points into: picture, plan and result.
        helping: held by a thread that helps.
    """

    job: _Job
    held: tuple[NDArray[np.uint8], KernelPlan, NDArray[Any]]
    helping: Lock = field(default_factory=Lock)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KernelPlan:
    """How pixels of the resized picture are made, laid out for the library.

    Attributes:
        rows_read: first source row that is read, and the one behind the last.
        source_width: of the picture, pixels.
        column_first: (width,) int32, first source column of each resized one.
        column_weights: (width, groups, 2, 4) int16, high and low parts of weights.
        row_first: (height,) int32, first of the rows read for each resized row.
        row_weights: (height, pairs, 2, 2) int16, high and low parts of weights.
        layout: all of it as the library takes it.
    """

    rows_read: tuple[int, int]
    source_width: int
    column_first: NDArray[np.int32]
    column_weights: NDArray[np.int16]
    row_first: NDArray[np.int32]
    row_weights: NDArray[np.int16]
    layout: _Plan


def kernel_plan(columns: Taps, rows: Taps, source_width: int) -> KernelPlan:
    """Lay out the taps of both axes.

    Args:
        columns: of the wanted columns.
        rows: of the wanted rows.
        source_width: of the picture, pixels.
    """
    first, end = rows.window
    row_first, taps = _packed(rows.behind(first), end - first)
    column_first = np.ascontiguousarray(columns.indices[0], dtype=np.int32)
    column_weights, row_weights = _in_parts(columns.weights.T, _GROUP), _in_parts(taps, 2)
    arrays = (column_first, column_weights, row_first, row_weights)
    sizes = (source_width, end - first, len(column_first), len(row_first))
    return KernelPlan(
        rows_read=(first, end),
        source_width=source_width,
        column_first=column_first,
        column_weights=column_weights,
        row_first=row_first,
        row_weights=row_weights,
        layout=_Plan(
            *sizes, column_weights.shape[1], taps.shape[1], *(each.ctypes.data for each in arrays)
        ),
    )


def _packed(taps: Taps, source: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Let every window lie within the source: where it would not, it begins earlier with zeros."""
    count, resized = taps.weights.shape
    first = np.minimum(taps.indices[0], source - count)
    weights = np.zeros((resized, count), dtype=np.int32)
    used = taps.weights != 0
    places = np.broadcast_to(np.arange(resized), used.shape)
    weights[places[used], (taps.indices - first)[used]] = taps.weights[used]
    return first.astype(np.int32), weights


def _in_parts(weights: NDArray[np.int32], together: int) -> NDArray[np.int16]:
    """Turn (n, taps) into (n, steps, 2, together): high and low parts, zeros behind the last."""
    missing = -weights.shape[1] % together
    steps = np.pad(weights, ((0, 0), (0, missing))).reshape(len(weights), -1, together)
    parts = np.stack([steps >> _LOW_BITS, steps & ((1 << _LOW_BITS) - 1)], axis=2)
    return np.ascontiguousarray(parts, dtype=np.int16)


class Kernel:
    """The loaded library.

    Args:
        built: compiled from `native/resize.c`.

    Attributes:
        instructions: that it uses, those of the library's ``enum``; 0 if it cannot run here. Lower
            ones give the same pixels.
    """

    def __init__(self, built: ctypes.CDLL) -> None:
        self._take_bands = built.take_bands
        self._take_bands.argtypes = (ctypes.POINTER(_Job),)
        self._take_bands.restype = None
        self._running: list[_Running] = []
        self._normalise = built.normalise
        self._normalise.argtypes = (
            ctypes.c_void_p,
            ctypes.c_ssize_t,
            ctypes.POINTER(Look),
            ctypes.c_ssize_t,
            ctypes.c_void_p,
        )
        self._normalise.restype = None
        self.instructions = int(built.best_instructions())

    def resize(
        self,
        pixels: NDArray[np.uint8],
        plan: KernelPlan,
        out: NDArray[Any],
        look: Look | None = None,
    ) -> None:
        """Resize and crop a picture; other threads go on meanwhile and may `help`.

        Args:
            pixels: (source height, source width, 3) uint8.
            plan: for this size.
            out: overwritten without gaps: (height, width, 3) uint8, or with a look what `normalise`
                makes of these, (3, height, width) float32.
            look: of the planes.

        Raises:
            ValueError: if picture or result are not of the sizes that the plan is for.
            MemoryError: if there is no memory.
        """
        height, width = len(plan.row_first), len(plan.column_first)
        if look is None:
            _require_room(out, (height, width, 3), np.uint8)
        else:
            _require_room(out, (3, height, width), np.float32)
        first, end = plan.rows_read
        fits = pixels.shape[1:] == (plan.source_width, 3) and pixels.shape[0] >= end
        if not fits or pixels.dtype != np.uint8:
            raise ValueError(
                f"a plan for {plan.source_width} columns got {pixels.shape} {pixels.dtype}"
            )
        source = pixels[first:end]
        if source.strides[1:] != (3, 1) or source.strides[0] < 3 * plan.source_width:
            source = np.ascontiguousarray(source)
        job = _Job(
            plan=ctypes.pointer(plan.layout),
            instructions=self.instructions,
            source=source.ctypes.data,
            step=source.strides[0],
            levels=out.ctypes.data if look is None else None,
            look=None if look is None else ctypes.pointer(look),
            planes=None if look is None else out.ctypes.data,
        )
        running = _Running(job, (source, plan, out))
        self._running.append(running)
        try:
            self._take_bands(job)
        finally:
            self._running.remove(running)
        with running.helping:
            if job.lacks_memory:
                raise MemoryError(f"no memory to resize a picture of {pixels.shape}")

    def help(self) -> None:
        """Take part in the picture that other threads resize for longest, until its end."""
        for running in self._running[:1]:
            # One helper halves the time; more would only wait for each other.
            if running.helping.acquire(blocking=False):
                try:
                    self._take_bands(running.job)
                finally:
                    running.helping.release()

    def normalise(self, pixels: NDArray[np.uint8], look: Look, out: NDArray[np.float32]) -> None:
        """Write ``(levels - mean) * scale`` of a picture, plane by plane.

        Args:
            pixels: (height, width, 3) uint8.
            look: of the planes.
            out: (3, height, width) float32 without gaps, overwritten.

        Raises:
            ValueError: if the arrays are of other shapes or types.
        """
        height, width = pixels.shape[:2]
        if pixels.shape != (height, width, 3) or pixels.dtype != np.uint8:
            raise ValueError(f"cannot normalise {pixels.shape} {pixels.dtype}")
        _require_room(out, (3, height, width), np.float32)
        packed = np.ascontiguousarray(pixels)
        count = height * width
        self._normalise(packed.ctypes.data, count, look, count, out.ctypes.data)


def _require_room(out: NDArray[Any], shape: tuple[int, ...], kind: type) -> None:
    if out.shape != shape or out.dtype != kind or not out.flags.c_contiguous:
        raise ValueError(f"cannot write {shape} {kind.__name__} into {out.shape} {out.dtype}")


@lru_cache(maxsize=1)
def installed_kernel() -> Kernel | None:
    """Return the library that was built with the package, None if this machine has none."""
    found = library("resize", "Pillow takes several times as long")
    kernel = None if found is None else Kernel(found)
    return kernel if kernel and kernel.instructions else None
