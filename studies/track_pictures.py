"""Draw tracked boxes on the six cameras and from above, where trails show where objects came from.

Boxes and trails of an object keep one color; annotations are dashed. Every picture shows what the
pipeline knows after all frame sets up to it. Weights are those that come with the package, if any.

    python studies/track_pictures.py --source synthetic:3
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from streampetr_ros.backends.opening import default_weights, is_random, open_backend
from streampetr_ros.core import geometry
from streampetr_ros.core.errors import UserError
from streampetr_ros.core.types import FrameSet
from streampetr_ros.pipeline.data import StepResult
from streampetr_ros.pipeline.streaming import PipelineConfig, StreamingPipeline
from streampetr_ros.sources import open_source
from streampetr_ros.track import TrackingConfig
from streampetr_ros.viz.bev import beside, render_top_view
from streampetr_ros.viz.layer import track_layer, truth_layer
from streampetr_ros.viz.overlay import render_cameras
from streampetr_ros.viz.trails import Trails


def picture(
    frame_set: FrameSet, result: StepResult, trails: list[geometry.Array], caption: str
) -> NDArray[np.uint8]:
    """Draw one frame set: cameras at the left, from above at the right."""
    base_from_fixed = geometry.inverse(frame_set.fixed_from_base)
    trails_base = [geometry.transform_points(base_from_fixed, trail) for trail in trails]
    layers = [track_layer(result.tracks, np.eye(4), by_id=True, trails=trails_base)]
    if frame_set.truth is not None:
        layers.insert(0, truth_layer(frame_set.truth, frame_set.base_from_model))
    cameras = render_cameras(frame_set, layers)
    return beside(cameras, render_top_view(frame_set, layers, caption=caption))


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--source", default="synthetic:3", help="recording, or synthetic[:seed]")
    parser.add_argument("--model", default="tiny", help="model name")
    parser.add_argument("--weights", default="", help="weights file, or random:SEED")
    parser.add_argument("--frames", type=int, default=60, help="frame sets fed")
    parser.add_argument("--pictures", type=int, default=3, help="drawn, evenly over the frames")
    parser.add_argument("--trail", type=float, default=4.0, help="length of trails, seconds")
    parser.add_argument("--out", type=Path, default=Path("out/tracks"), help="folder for pictures")
    return parser.parse_args()


def main() -> int:
    """Follow the objects of a drive and draw some of its frame sets."""
    given = parsed()
    weights = given.weights or default_weights(given.model)
    try:
        source = open_source(given.source)
        backend = open_backend(weights, given.model)
    except (UserError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if is_random(weights):
        print("NOTE: RANDOM WEIGHTS, the boxes mean nothing; give trained ones with --weights FILE")
    given.out.mkdir(parents=True, exist_ok=True)
    pipeline = StreamingPipeline(backend, PipelineConfig(tracking=TrackingConfig()))
    count = min(given.frames, len(source))
    wanted = set(np.linspace(0, count, given.pictures + 1).astype(int)[1:] - 1)
    trails = Trails()
    for index, frame_set in enumerate(islice(source, count)):
        result = pipeline.step(frame_set)
        places = trails.update(result.tracks, frame_set.fixed_from_base, given.trail)
        if index in wanted:
            path = given.out / f"{index:03d}.jpg"
            drawn = picture(frame_set, result, places, f"{given.source}, {index}")
            Image.fromarray(drawn).save(path, quality=90)
            print(f"{path}: {len(result.tracks)} objects")
    pipeline.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
