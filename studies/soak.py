"""Drive the real node with six cameras for minutes and print what it lost and what it cost.

The network is a stand-in that only takes its time, so that the figures are those of everything
else. Node and cameras are processes of their own:

    . scripts/environment.sh --local
    python studies/soak.py --minutes 10
    python studies/soak.py --minutes 10 --encoding raw
    python studies/soak.py --minutes 10 --noise 4
    python studies/soak.py --minutes 10 --reduction 2
    python studies/soak.py --minutes 10 --priority 10
    python studies/soak.py --minutes 2 --model-ms 150

A JPEG has 285 kB and takes longer to decode than any of twelve frames of nuScenes (110 to 190 kB);
with the noise of the third line it has 370 kB. The fourth line decodes pictures at half their size,
the fifth gives the node alone a real-time priority. The last one is the overload mode: the network
is slower than the cameras.

Overhead is the time from the arrival of the last image to the publication, without the time that
decoding of this image took and without the network. "Overhead in turn" is stricter: it leaves out
only the time that the worker waited for pictures to be decoded, so that what passed while one was
decoded counts as well.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from streampetr_ros.msg import Object3DArray
from tf2_msgs.msg import TFMessage

from streampetr_ros.core import geometry
from streampetr_ros.core.types import CameraFrame, FrameSet
from streampetr_ros.messages.standard import tf_message, time_message
from streampetr_ros.messages.vehicle import CameraMessages, FrameNames, set_messages
from streampetr_ros.ros import qos
from streampetr_ros.ros.messages import types
from streampetr_ros.sources import open_source

#: Firing offsets within a cycle, as the cameras of nuScenes have them, seconds.
OFFSETS_S = (0.0, 0.0076, 0.0155, 0.023, 0.0327, 0.0426)
#: From exposure to publication, and between two poses, seconds.
READOUT_S = 0.025
POSE_PERIOD_S = 0.01
SPEED = 10.0
#: Sets and memory are counted once discovery and first allocations are over, seconds.
SETTLE_S = 15.0
#: So many of the sets that are missing are printed with their time.
SHOWN_MISSING = 10
#: One of them names the DDS profile, which the default one is no match for at these rates.
PROFILE_VARIABLES = {"FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"}
PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")


def pictures(size: tuple[int, int], noise: int, seed: int) -> FrameSet:
    """Return six synthetic pictures of a size with noise of so many gray levels."""
    first = next(iter(open_source("synthetic:1")))
    rng = np.random.default_rng(seed)
    return replace(first, cameras=tuple(enlarged(each, size, noise, rng) for each in first.cameras))


def enlarged(
    frame: CameraFrame, size: tuple[int, int], noise: int, rng: np.random.Generator
) -> CameraFrame:
    """Resize a picture together with its calibration, and make it noisy."""
    old = frame.calibration
    scale = np.diag([size[0] / old.width, size[1] / old.height, 1.0])
    pixels = cv2.resize(frame.pixels, size).astype(np.int16)
    pixels += rng.integers(-noise, noise + 1, pixels.shape, dtype=np.int16)
    return replace(
        frame,
        pixels=pixels.clip(0, 255).astype(np.uint8),
        calibration=replace(old, width=size[0], height=size[1], intrinsic=scale @ old.intrinsic),
    )


class Cameras(Node):
    """Publishes the same six pictures again and again, with stamps as of real exposures."""

    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__("soak_cameras")
        self._period = 1.0 / options.hz
        # Two in turn: pictures that never change would be recognised as frozen.
        both = [pictures(tuple(options.size), options.noise, seed) for seed in (0, 1)]
        sets = [set_messages(types, each, options.encoding, FrameNames()) for each in both]
        self._sets = [messages.cameras for messages in sets]
        raw = options.encoding == "raw"
        kind, suffix = (Image, "") if raw else (CompressedImage, "/compressed")
        create, best_effort = self.create_publisher, qos_profile_sensor_data
        self._images = {
            each.camera: create(kind, f"{each.camera}/image_raw{suffix}", best_effort)
            for each in self._sets[0]
        }
        self._infos = {
            each.camera: create(CameraInfo, f"{each.camera}/camera_info", best_effort)
            for each in self._sets[0]
        }
        self._tf = create(TFMessage, "/tf", qos.transforms())
        self._static = create(TFMessage, "/tf_static", qos.static_transforms())
        self._static.publish(sets[0].mountings)

    def run(self) -> None:
        """Publish until a signal comes."""
        start = time.time() + 1.0
        cycle, pose_at = 0, start - 0.5
        while rclpy.ok():
            for offset, camera in zip(OFFSETS_S, self._sets[cycle % 2], strict=True):
                exposed = start + cycle * self._period + offset
                pose_at = self._poses_until(exposed + READOUT_S, pose_at)
                self._publish(camera, round(exposed * 1e9))
            cycle += 1

    def _poses_until(self, moment: float, pose_at: float) -> float:
        while pose_at < moment:
            time.sleep(max(0.0, pose_at - time.time()))
            pose = geometry.transform_from_parts([SPEED * (pose_at % 1e5), 0.0, 0.0], np.eye(3))
            edge = ("odom", "base_link", round(pose_at * 1e9), pose)
            self._tf.publish(tf_message(types, [edge]))
            pose_at += POSE_PERIOD_S
        time.sleep(max(0.0, moment - time.time()))
        return pose_at

    def _publish(self, camera: CameraMessages, stamp_ns: int) -> None:
        stamp = time_message(types, stamp_ns)
        camera.info.header.stamp = camera.image.header.stamp = stamp
        self._infos[camera.camera].publish(camera.info)
        self._images[camera.camera].publish(camera.image)


@dataclass
class Record:
    """What was seen from outside."""

    stamps_ns: list[int] = field(default_factory=list)
    latencies: list[dict[str, float]] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    health: dict[str, dict[str, str]] = field(default_factory=dict)

    def troubles(self) -> dict[str, int]:
        """Return the counters of the last diagnostics that should stand still."""
        return {
            f"{status}, {key}": int(value)
            for status, pairs in self.health.items()
            for key, value in pairs.items()
            if key.startswith(("dropped", "problem", "overtaken", "resets", "restarts", "degraded"))
        }


class Recorder(Node):
    """Hears results and diagnostics."""

    def __init__(self) -> None:
        super().__init__("soak_recorder")
        self.record = Record()
        self.create_subscription(Object3DArray, "/streampetr/detections", self._on_result, 50)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_health, 10)

    def _on_result(self, message: Object3DArray) -> None:
        stamp = message.header.stamp
        self.record.stamps_ns.append(stamp.sec * 1_000_000_000 + stamp.nanosec)
        values = zip(message.latency_stages, message.latency_ms, strict=True)
        self.record.latencies.append(dict(values))

    def _on_health(self, message: DiagnosticArray) -> None:
        for status in message.status:
            name = status.name.partition(": ")[2]
            self.record.health[name] = {pair.key: pair.value for pair in status.values}


@contextmanager
def process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process, its output in a file, for as long as the block lasts."""
    with log.open("wb") as output:
        # The commands are this interpreter with constants and checked options.
        started = subprocess.Popen(  # noqa: S603
            command, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        started.wait(30)


def node_command(options: argparse.Namespace) -> list[str]:
    """Return how the node is started."""
    transport = "raw" if options.encoding == "raw" else "compressed"
    parameters = {
        "model.name": options.model,
        "model.weights": f"stand_in:{options.model_ms}",
        "model.threads": 1,
        "cameras.transports": f"[{transport}]",
        "cameras.reductions": f"[{options.reduction}]",
        "diagnostics.period_s": 1.0,
        "tracking.enabled": "false",
    }
    priority = ["chrt", "--rr", str(options.priority)] if options.priority else []
    command = [*priority, sys.executable, "-m", "streampetr_ros.ros.node.node", "--ros-args"]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={value}"]
    return command


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def soak(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Run everything; return the figures."""
    cameras = [sys.executable, __file__, "--cameras", *sys.argv[1:]]
    rclpy.init()
    recorder = Recorder()
    seconds = options.minutes * 60
    with (
        process(node_command(options), folder / "node.log") as node,
        process(cameras, folder / "cameras.log"),
    ):
        deadline = time.monotonic() + 120
        while not recorder.record.stamps_ns and time.monotonic() < deadline:
            rclpy.spin_once(recorder, timeout_sec=0.1)
        settled = time.monotonic() + SETTLE_S
        while time.monotonic() < settled:
            rclpy.spin_once(recorder, timeout_sec=0.1)
        before, cpu = recorder.record, cpu_seconds(node.pid)
        recorder.record = Record()
        watch(recorder, node.pid, seconds)
        cpu = cpu_seconds(node.pid) - cpu
    found = figures(recorder.record, before, cpu, options.hz)
    recorder.destroy_node()
    rclpy.try_shutdown()
    return found


def watch(recorder: Recorder, pid: int, seconds: float) -> None:
    """Record for a time."""
    end = time.monotonic() + seconds
    record = recorder.record
    while time.monotonic() < end:
        rclpy.spin_once(recorder, timeout_sec=0.1)
        # Always at the same moment of a cycle, because a set of pictures is held in between.
        if len(record.resident) < len(record.stamps_ns):
            record.resident.append(resident_bytes(pid))


def figures(record: Record, before: Record, cpu: float, hz: float) -> dict[str, float]:
    """Boil a record down."""
    stamps = record.stamps_ns
    cycles = {round((stamp - stamps[0]) * 1e-9 * hz) for stamp in stamps}
    expected = max(cycles) + 1
    missing = sorted(set(range(expected)) - cycles)
    overhead = [each["total"] - each["last_image"] - each["network"] for each in record.latencies]
    in_turn = [each["total"] - each["images"] - each["network"] for each in record.latencies]
    bare = [each - lat["preprocess"] for each, lat in zip(in_turn, record.latencies, strict=True)]
    quarter = max(1, len(record.resident) // 4)
    first, last = median(record.resident[:quarter]), median(record.resident[-quarter:])
    found = {
        "sets expected": expected,
        "sets published": len(stamps),
        **{f"missing set at {cycle / hz:.2f} s": 1 for cycle in missing[:SHOWN_MISSING]},
        **rises(before.troubles(), record.troubles()),
        "CPU ms per set": cpu * 1e3 / len(stamps),
        "resident MB": last / 1e6,
        "resident growth %": (last / first - 1) * 100,
    }
    stages = {
        stage: [each.get(stage, 0.0) for each in record.latencies] for stage in total_stages(record)
    }
    for name, values in {
        "overhead": overhead,
        "overhead in turn": in_turn,
        "overhead in turn without preprocess": bare,
        **stages,
    }.items():
        for q in (50, 99):
            found[f"{name} p{q} ms"] = float(np.percentile(values, q))
    return found


def rises(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Return by how much counters rose, of those that did."""
    found = {name: count - before.get(name, 0) for name, count in after.items()}
    return {name: rise for name, rise in found.items() if rise}


def total_stages(record: Record) -> list[str]:
    """Return the stages of the last result."""
    return list(record.latencies[-1])


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="after settling")
    parser.add_argument("--encoding", choices=("jpeg", "raw"), default="jpeg")
    parser.add_argument("--model", default="stream_petr_r50_428q", help="gives the input size")
    parser.add_argument("--model-ms", type=int, default=5, help="time the stand-in takes")
    parser.add_argument("--hz", type=float, default=12.0, help="rate of the cameras")
    parser.add_argument("--size", type=int, nargs=2, default=(1600, 900), help="width, height")
    parser.add_argument("--noise", type=int, default=1, help="of the pictures, gray levels")
    parser.add_argument("--reduction", type=int, default=1, help="as cameras.reductions")
    parser.add_argument("--priority", type=int, default=0, help="of the node, real-time, 1 to 99")
    parser.add_argument("--folder", type=Path, default=Path("out/soak"), help="of logs, figures")
    parser.add_argument("--cameras", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Be the cameras, or the whole experiment."""
    options = parsed()
    if options.cameras:
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        Cameras(options).run()
        return
    if not PROFILE_VARIABLES & os.environ.keys():
        sys.exit("images would be lost on the way: `. scripts/environment.sh --local` comes first")
    options.folder.mkdir(parents=True, exist_ok=True)
    found = soak(options, options.folder)
    (options.folder / "figures.json").write_text(json.dumps(found, indent=1) + "\n")
    for name, value in found.items():
        print(f"{name}: {value:.1f}")


if __name__ == "__main__":
    main()
