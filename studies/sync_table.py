"""Print how many frame sets the synchroniser forms, beside the one of message_filters if installed.

600 cycles at 12 Hz with the firing offsets of nuScenes and 15 ms of arrival jitter, for several
seeds; then a recording of 240 cycles played four times.

    python studies/sync_table.py
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test" / "unit" / "ingest" / "sync"))

from rig_simulation import MS, Event, Rig, mixed, play

from streampetr_ros.ingest.sync.synchroniser import FrameSetSynchroniser

SLOP_S = 0.05
QUEUE = 10

#: Takes the deliveries of each loop; returns sets and mixed sets of each.
Formed = list[tuple[int, int]]
Policy = Callable[[Rig, list[list[Event]]], Formed]


def own(fewest: int) -> Policy:
    """Return the project's synchroniser, demanding so many cameras."""

    def form(rig: Rig, loops: list[list[Event]]) -> Formed:
        sync: FrameSetSynchroniser[None] = FrameSetSynchroniser(rig.config(fewest))
        found = [play(sync, events) for events in loops]
        return [(len(sets), mixed(sets)) for sets in found]

    return form


def approximate(rig: Rig, loops: list[list[Event]]) -> Formed:
    """Form sets with the ApproximateTimeSynchronizer of message_filters."""
    import message_filters  # noqa: PLC0415
    from builtin_interfaces.msg import Time  # noqa: PLC0415

    filters = {camera: message_filters.SimpleFilter() for camera in rig.cameras}
    policy = message_filters.ApproximateTimeSynchronizer([*filters.values()], QUEUE, SLOP_S)
    sets: list[set[int]] = []
    policy.registerCallback(lambda *found: sets.append({each.cycle for each in found}))
    formed = []
    for events in loops:
        sets.clear()
        for event in events:
            stamp = Time(sec=event.stamp_ns // 10**9, nanosec=event.stamp_ns % 10**9)
            message = SimpleNamespace(header=SimpleNamespace(stamp=stamp), cycle=event.cycle)
            filters[event.camera].signalMessage(message)
        formed.append((len(sets), sum(len(cycles) > 1 for cycles in sets)))
    return formed


def policies() -> dict[str, Policy]:
    """Return what can be compared here."""
    found = {"ours, at least 5 cameras": own(5), "ours, all 6": own(6)}
    if importlib.util.find_spec("message_filters") is not None:
        found[f"ApproximateTimeSynchronizer, slop {SLOP_S} s, queue {QUEUE}"] = approximate
    return found


def looped(events: list[Event], times: int) -> list[list[Event]]:
    """Deliver the same stamps again and again."""
    length = events[-1].arrival_ns + 300 * MS
    return [
        [event._replace(arrival_ns=event.arrival_ns + loop * length) for event in events]
        for loop in range(times)
    ]


def span(values: list[int]) -> str:
    """Write the range of values."""
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def losses_table(cycles: int, seeds: int) -> list[str]:
    """Compare by share of lost images."""
    lines = ["| images lost | rule | sets | mixed sets |", "|---|---|---|---|"]
    for loss in (0.0, 0.05, 0.1):
        rig = Rig(loss=loss)
        for name, policy in policies().items():
            runs = [policy(rig, [rig.events(cycles, seed)])[0] for seed in range(seeds)]
            sets, wrong = span([run[0] for run in runs]), span([run[1] for run in runs])
            lines.append(f"| {loss:.0%} | {name} | {sets} of {cycles} | {wrong} |")
    return lines


def loops_table(cycles: int) -> list[str]:
    """Compare by loops of one recording."""
    lines = ["| images lost | rule | sets of each loop |", "|---|---|---|"]
    for loss in (0.0, 0.05):
        rig = Rig(loss=loss)
        loops = looped(rig.events(cycles), 4)
        for name, policy in policies().items():
            formed = ", ".join(str(sets) for sets, _ in policy(rig, loops))
            lines.append(f"| {loss:.0%} | {name} | {formed} of {cycles} |")
    return lines


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cycles", type=int, default=600)
    parser.add_argument("--loop-cycles", type=int, default=240)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    lines = [*losses_table(options.cycles, options.seeds), "", *loops_table(options.loop_cycles)]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
