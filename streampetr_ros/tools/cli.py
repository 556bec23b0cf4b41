"""The ``streampetr`` command. A verb is imported when it is asked for, so that help is quick."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Collection

import typer

from streampetr_ros.core.threads import keep_linear_algebra_in_one_thread

#: Verb, which is also its module and function, and the line shown in the overview.
VERBS = {
    "replay": "Detect objects in bags, recordings or the synthetic world; write boxes.",
    "check": "Say what is missing in a bag or on the ROS graph before anything runs.",
    "record": "Write a drive as a rosbag2 recording.",
    "convert": "Turn a published checkpoint into a clean weights file.",
    "export": "Write a detector as ONNX graphs and check them against PyTorch.",
    "benchmark": "Measure speed and memory of models on this machine.",
    "train": "Train a detector from a configuration file.",
    "evaluate": "Judge weights with the nuScenes metrics.",
    "synthesize": "Write the synthetic world as a data set in the nuScenes schema.",
    "overlay": "Draw distances on the ground on camera images, to check a calibration by eye.",
    "track": "Give the boxes of a detection file identities over time.",
}


def main() -> None:
    """Run the verb named first on the command line."""
    app = build_app(set(sys.argv[1:2]) & set(VERBS))
    keep_linear_algebra_in_one_thread()
    app()


def build_app(loaded: Collection[str]) -> typer.Typer:
    """Build the command line.

    Args:
        loaded: verbs to import; the others are only listed.
    """
    app = typer.Typer(
        name="streampetr",
        help="Camera-only 3D object detection with a streaming memory.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_overview)
    for verb, line in VERBS.items():
        function = _imported(verb) if verb in loaded else _listed
        app.command(verb, short_help=line, help=None if verb in loaded else line)(function)
    return app


def _overview() -> None:
    """Take options that stand before the verb; there are none but --help."""


def _listed() -> None:
    """Stand in for a verb that only appears in the overview."""


def _imported(verb: str) -> Callable[..., None]:
    function: Callable[..., None] = getattr(
        importlib.import_module(f"streampetr_ros.tools.verbs.{verb}"), verb
    )
    return function
