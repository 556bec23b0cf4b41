"""The main job in one command: a publisher process and the node over DDS, then a summary.

Cameras, CameraInfo, TF and clock come from the synthetic world or from a recording; pictures show
the boxes that the node really published.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console

from streampetr_ros.backends.opening import default_weights, is_random
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.threads import keep_linear_algebra_in_one_thread
from streampetr_ros.ingest.messages import stamp_ns_from
from streampetr_ros.messages.vehicle import IMAGE_ENCODINGS, FrameNames
from streampetr_ros.ros.demo.record import DemoRecorder, print_summary
from streampetr_ros.ros.listen.listening import quiet_node
from streampetr_ros.ros.outputs.objects import detections_from
from streampetr_ros.sources import SourceError, open_source
from streampetr_ros.viz.frame_picture import PictureOptions, draw_frame_set

#: The node has nothing left to say when it is silent for this long.
_QUIET_S = 8.0
_NODE_START_S = 120.0


def run_demo(options: argparse.Namespace, console: Console) -> None:
    """Play a source through the node and report.

    Args:
        options: see `_parsed`.
        console: for the report.

    Raises:
        UserError: if a process fails or no frame set came through.
        SourceError: if the source cannot be read.
    """
    source = open_source(options.source)
    first = next(iter(source), None)
    if first is None:
        raise SourceError(f"source '{options.source}' has no frame sets")
    cameras = [camera.calibration.name for camera in first.cameras]
    if is_random(options.weights):
        console.print(
            "[yellow]No trained weights given: the network is random and its boxes mean nothing; "
            "transport, geometry and timing are real. Give trained ones with --weights FILE."
        )
    count = min(options.frames or len(source), len(source))
    with quiet_node("demo_recorder") as (listener, spin):
        recorder = DemoRecorder(listener, spin)
        node = subprocess.Popen(_node_command(options, cameras))  # noqa: S603
        try:
            _wait_for_node(node, recorder)
            _play(options, node, recorder, count)
        finally:
            _stop(node)
    drawn = _draw(options, recorder)
    print_summary(recorder, console, drawn, options.out)
    if not recorder.results:
        raise UserError("no frame set came through the node; its log above says why")


def _node_command(options: argparse.Namespace, cameras: Sequence[str]) -> list[str]:
    parameters = {
        "use_sim_time": "true",
        "model.name": options.model,
        "model.weights": options.weights,
        "model.device": options.device,
        "cameras.names": "[" + ",".join(cameras) + "]",
        "frames.model": FrameNames().model,
        "detection.score_thresholds": f"[{options.draw_above}]",
    }
    command = [sys.executable, "-m", "streampetr_ros.ros.node.node", "--ros-args"]
    for name, value in parameters.items():
        command += ["-p", f"{name}:={value}"]
    return command


def _wait_for_node(node: subprocess.Popen[bytes], recorder: DemoRecorder) -> None:
    deadline = time.monotonic() + _NODE_START_S
    while not recorder.node_is_active():
        if node.poll() is not None:
            raise UserError("the node ended while starting; its log above says why")
        if recorder.fault:
            raise UserError(f"the node cannot be configured: {recorder.fault}")
        if time.monotonic() > deadline:
            raise UserError(f"the node was not ready within {_NODE_START_S:g} s")
        recorder.spin(0.1)


def _play(
    options: argparse.Namespace, node: subprocess.Popen[bytes], recorder: DemoRecorder, count: int
) -> None:
    """Run the publisher of `count` sets to its end; wait until the node has nothing left to say."""
    command = [sys.executable, "-m", "streampetr_ros.ros.play.replay_publisher", options.source]
    command += ["--encoding", options.encoding, "--speed", str(options.speed)]
    command += ["--frames", str(options.frames)]
    publisher = subprocess.Popen(command)  # noqa: S603
    try:
        while publisher.poll() is None and node.poll() is None:
            recorder.spin(0.1)
        ended = time.monotonic()
        while len(recorder.results) < count and node.poll() is None:
            if time.monotonic() > max(ended, recorder.last_result) + _QUIET_S:
                break
            recorder.spin(0.1)
    finally:
        _stop(publisher)
    if publisher.returncode > 0:
        raise UserError("the publisher failed; its message is above")
    if node.poll() is not None:
        raise UserError(f"the node ended early with exit code {node.returncode}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _draw(options: argparse.Namespace, recorder: DemoRecorder) -> int:
    """Draw some of the results on the images they were made from; return how many."""
    found = {stamp_ns_from(message.header.stamp): message for message in recorder.results}
    stamps = sorted(found)
    if not stamps or options.pictures < 1:
        return 0
    wanted = {
        stamps[index]
        for index in np.linspace(0, len(stamps) - 1, min(options.pictures, len(stamps))).astype(int)
    }
    options.out.mkdir(parents=True, exist_ok=True)
    looks, drawn = PictureOptions(draw_above=options.draw_above), 0
    for frame_set in islice(open_source(options.source), options.frames or None):
        if frame_set.stamp_ns in wanted:
            detections = detections_from(found[frame_set.stamp_ns])
            cameras, top_view = draw_frame_set(frame_set, detections, np.eye(4), looks)
            Image.fromarray(cameras).save(options.out / f"{drawn:03d}_cameras.jpg", quality=92)
            Image.fromarray(top_view).save(options.out / f"{drawn:03d}_top_view.png")
            drawn += 1
    return drawn


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--source", default="synthetic:3", help="recording, or synthetic[:seed]")
    parser.add_argument("--model", default="tiny", help="model name or its YAML file")
    parser.add_argument("--weights", default="", help="weights file, or random:SEED")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--frames", type=int, default=20, help="most frame sets; 0: all")
    parser.add_argument("--speed", type=float, default=1.0, help="playback speed")
    parser.add_argument("--encoding", choices=IMAGE_ENCODINGS, default="jpeg", help="of the images")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for pictures")
    parser.add_argument("--pictures", type=int, default=4, help="most frame sets drawn")
    parser.add_argument("--draw-above", type=float, default=0.3, help="lowest score shown")
    options = parser.parse_args()
    options.weights = options.weights or default_weights(options.model)
    return options


def main() -> None:
    """Command line entry."""
    options = _parsed()
    console = Console()
    keep_linear_algebra_in_one_thread()
    try:
        run_demo(options, console)
    except UserError as error:
        raise SystemExit(f"demo: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
