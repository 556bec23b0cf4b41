"""Learn the rhythm of a rig from stamps alone: cycle time and each camera's place in the cycle.

Nothing here needs complete cycles. A lost image leaves a double interval, which counts as two; and
a camera's place in the cycle is a phase, the same whichever of its images were lost. What phases
cannot tell is where a cycle begins; it is cut at the widest pause of the rig, which makes sets as
tight as possible.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median, median_low

#: Assumed until two images of one camera are known: the fastest supported rig, 30 Hz, so that the
#: window is too small rather than too large.
FASTEST_PERIOD_NS = 33_000_000

#: Part of the period within which a stamp counts as the same cycle. Half a period would be
#: ambiguous. Given offsets are exact, so less suffices and a skewed clock is noticed earlier.
WINDOW_LEARNED = 0.4
WINDOW_GIVEN = 0.25
WINDOW_LIMIT = 0.45

#: A pause must be wider than the present cut by this part of the period to become the new cut;
#: otherwise rigs that fire evenly would be cut elsewhere all the time.
CUT_HYSTERESIS = 0.15

#: A camera this much faster than the rig contributes only its nearest images.
FAST = 0.7

#: Phases are compared with stamps of the reference camera at most this many periods away, which
#: bounds what an error of the period does to them.
REACH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CycleTiming:
    """Rhythm of the rig; tuples follow the order of cameras.

    Attributes:
        period_ns: cycle time.
        offsets_ns: firing time of each camera after the start of a cycle.
        windows_ns: largest distance of a stamp from its place.
        fast: whether a camera runs at a multiple of the rig's rate.
        known: False while `period_ns` is only assumed.
    """

    period_ns: int
    offsets_ns: tuple[int, ...]
    windows_ns: tuple[int, ...]
    fast: tuple[bool, ...]
    known: bool


def estimate_period(stamps_ns: Sequence[int]) -> int | None:
    """Estimate the cycle time from ascending stamps of one camera, some of them lost.

    The lower quartile of the intervals is one period as long as a quarter of the images follow
    their neighbour; longer intervals then count as whole multiples of it.

    Returns:
        Period in ns, None for fewer than two stamps.

    Example:
        >>> estimate_period([0, 100, 201, 401, 500])
        100
    """
    if len(stamps_ns) < 2:
        return None
    intervals = [after - before for before, after in pairwise(stamps_ns)]
    seed = sorted(intervals)[(len(intervals) - 1) // 4]
    # No interval counts for less than a period: images in quick succession are jitter.
    cycles = sum(max(1, round(interval / seed)) for interval in intervals)
    return max(1, round((stamps_ns[-1] - stamps_ns[0]) / cycles))


def rig_period(periods_ns: Sequence[int]) -> int | None:
    """Combine the cameras' periods: the second smallest, the smallest if there are only two.

    A period too large would let neighbouring cycles mix, one too small only costs sets; hence from
    the lower end, but not led astray by one camera that sends everything twice.
    """
    if not periods_ns:
        return None
    ordered = sorted(periods_ns)
    return ordered[1] if len(ordered) > 2 else ordered[0]


def wrap(difference_ns: float, period_ns: float) -> float:
    """Wrap a difference to [-period/2, period/2)."""
    return (difference_ns + period_ns / 2) % period_ns - period_ns / 2


def circular_median(phases_ns: Sequence[float], period_ns: int) -> float:
    """Return the median of phases on a circle of circumference `period_ns`, in [0, period_ns).

    Example:
        >>> circular_median([98, 2, 1], 100)
        1.0
    """
    # Seen from any phase, the median is one of the majority, and seen from there it is the median.
    some = phases_ns[0]
    of_majority = some + median_low([wrap(phase - some, period_ns) for phase in phases_ns])
    off = median([wrap(phase - of_majority, period_ns) for phase in phases_ns])
    return (of_majority + off) % period_ns


def measure_phases(stamps_ns: Sequence[Sequence[int]], period_ns: int) -> list[float | None]:
    """Measure each camera's phase against a reference camera.

    Neighbouring stamps are compared, so a trigger that is itself irregular does not matter. The
    reference is the camera whose newest stamp is the median: neither dead nor wrong by seconds.

    Args:
        stamps_ns: ascending stamps per camera, empty for cameras to leave out.
        period_ns: cycle time.

    Returns:
        Phase in [0, period) per camera, None where nothing comparable is known.
    """
    seen = sorted((stamps for stamps in stamps_ns if stamps), key=lambda stamps: stamps[-1])
    if not seen:
        return [None] * len(stamps_ns)
    reference = seen[(len(seen) - 1) // 2]
    phases: list[float | None] = []
    for stamps in stamps_ns:
        known = [
            difference % period_ns
            for difference in (stamp - nearest(reference, stamp) for stamp in stamps)
            if abs(difference) <= REACH * period_ns
        ]
        phases.append(circular_median(known, period_ns) if known else None)
    return phases


def nearest(ascending: Sequence[int], value: int) -> int:
    """Return the element of a non-empty ascending sequence nearest to `value`."""
    place = bisect_left(ascending, value)
    if place == 0:
        return ascending[0]
    before = ascending[place - 1]
    if place == len(ascending) or value - before <= ascending[place] - value:
        return before
    return ascending[place]


def cut_cycle(
    phases_ns: Sequence[float | None], period_ns: int, previous_ns: Sequence[int | None]
) -> list[int | None]:
    """Turn phases into offsets from the start of a cycle by cutting the circle at a pause.

    Args:
        phases_ns: per camera, None where unknown.
        period_ns: cycle time.
        previous_ns: offsets in force, None where unknown; their cut is kept while it is about the
            widest.

    Returns:
        Offsets per camera from the first to fire (which has 0); unknown ones as they were.
    """
    offsets = list(previous_ns)
    known = sorted((phase, i) for i, phase in enumerate(phases_ns) if phase is not None)
    if not known:
        return offsets
    # Before each known phase lies a pause, a whole period before an only one.
    pauses = [(phase - known[k - 1][0]) % period_ns for k, (phase, _) in enumerate(known)]
    widest = max(range(len(known)), key=pauses.__getitem__)
    placed = [(previous_ns[i], k) for k, (_, i) in enumerate(known)]
    before = [(offset, k) for offset, k in placed if offset is not None]
    kept = min(before)[1] if before else widest
    if pauses[kept] < pauses[widest] - CUT_HYSTERESIS * period_ns:
        kept = widest
    for phase, i in known:
        offsets[i] = round((phase - known[kept][0]) % period_ns)
    return offsets


def deviations(
    phases_ns: Sequence[float | None], offsets_ns: Sequence[int], period_ns: int
) -> tuple[int, ...]:
    """How far each camera is from its given place, wrapped to half a period; 0 if unknown."""
    raw = [
        None if phase is None else (phase - offset) % period_ns
        for phase, offset in zip(phases_ns, offsets_ns, strict=True)
    ]
    known = [deviation for deviation in raw if deviation is not None]
    center = circular_median(known, period_ns) if known else 0.0
    return tuple(
        0 if deviation is None else round(wrap(deviation - center, period_ns)) for deviation in raw
    )


class RigTiming:
    """Keeps a `CycleTiming` up to date from the streams' recent stamps.

    Attributes:
        now: the rhythm as known at present.
        periods_ns: each camera's own cycle time, None until known.
        deviations_ns: measured minus given firing time, wrapped to half a period; 0 if learned.

    Args:
        count: number of cameras.
        period_ns: cycle time if given; measured all the same where all cameras are much faster,
            as none would open a cycle.
        offsets_ns: firing times if given.
        window_ns: match window if given.
    """

    def __init__(
        self,
        count: int,
        period_ns: int | None,
        offsets_ns: Sequence[int] | None,
        window_ns: int | None,
    ) -> None:
        self._count = count
        self._given_period_ns = period_ns
        self._given_offsets_ns = None if offsets_ns is None else tuple(offsets_ns)
        self._given_window_ns = window_ns
        self.forget()

    def forget(self) -> None:
        """Start learning afresh."""
        self._learned_ns: list[int | None] = [None] * self._count
        self.deviations_ns = (0,) * self._count
        self.periods_ns: list[int | None] = [None] * self._count
        self.now = self._timing(self._given_period_ns, [None] * self._count)

    def learn(self, stamps_ns: Sequence[Sequence[int]]) -> bool:
        """Update from ascending stamps per camera; say whether images must be placed anew."""
        self.periods_ns = periods = [estimate_period(stamps) for stamps in stamps_ns]
        known = [period for period in periods if period is not None]
        period = given = self._given_period_ns
        is_for_all = len(known) == sum(map(bool, stamps_ns))
        if given is None or (is_for_all and max(known, default=given) < FAST * given):
            period = rig_period(known)
        if period is None:
            return False
        before = self.now
        # Phases of a fast camera mean nothing: it has several images in every cycle.
        steady = [
            () if own is not None and own < FAST * period else stamps
            for own, stamps in zip(periods, stamps_ns, strict=True)
        ]
        phases = measure_phases(steady, period)
        if self._given_offsets_ns is None:
            self._learned_ns = cut_cycle(phases, period, self._learned_ns)
        else:
            self.deviations_ns = deviations(phases, self._given_offsets_ns, period)
        self.now = self._timing(period, periods)
        if not before.known or before.fast != self.now.fast:
            return True
        tolerance = period / 20
        changes = zip(before.offsets_ns, self.now.offsets_ns, strict=True)
        return abs(before.period_ns - period) > tolerance or any(
            abs(old - new) > tolerance for old, new in changes
        )

    def _timing(self, period_ns: int | None, periods_ns: Sequence[int | None]) -> CycleTiming:
        period = period_ns or FASTEST_PERIOD_NS
        own = [period if p is None else p for p in periods_ns]
        fast = tuple(p < FAST * period for p in own)
        # Any offset will do for a camera without images, and of the several images per cycle of a
        # fast camera the one in the middle of the others fits.
        learned = [0 if offset is None else offset for offset in self._learned_ns]
        steady = [offset for offset, f in zip(learned, fast, strict=True) if not f]
        middle = median_low(steady) if steady else 0
        share = WINDOW_LEARNED if self._given_offsets_ns is None else WINDOW_GIVEN
        wanted = self._given_window_ns or share * period
        window = round(min(wanted, WINDOW_LIMIT * period))
        return CycleTiming(
            period_ns=period,
            offsets_ns=self._given_offsets_ns
            or tuple(middle if f else offset for offset, f in zip(learned, fast, strict=True)),
            windows_ns=tuple(p // 2 if f else window for p, f in zip(own, fast, strict=True)),
            fast=fast,
            known=period_ns is not None,
        )
