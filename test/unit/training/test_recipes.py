"""Shipped recipes and the synthetic source."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streampetr_ros.core import geometry
from streampetr_ros.core.config import load_config
from streampetr_ros.core.errors import UserError
from streampetr_ros.model.config import MODEL_NAMES, ImageConfig
from streampetr_ros.nuscenes.dataset import NuscenesSource
from streampetr_ros.training.config import DataConfig, TrainConfig
from streampetr_ros.training.data.synthetic_data import SyntheticSequences

RECIPES = sorted((Path(__file__).parents[3] / "config" / "train").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_loads(path):
    config = load_config(path, TrainConfig)
    assert config.name == path.stem
    assert config.model in MODEL_NAMES


def test_missing_tables(tmp_path):
    with pytest.raises(UserError, match=r"no nuScenes tables in '.*; unpack"):
        NuscenesSource(str(tmp_path), "v1.0-mini", "mini_train")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    data = DataConfig(sequences=2, frames=2, cache=str(tmp_path_factory.mktemp("cache")))
    image = ImageConfig(height=32, width=96)
    return [SyntheticSequences(replace(data, oversampling=n), image) for n in (1, 2)]


def test_synthetic_sequences_are_cached(sources):
    first = sources[0].frame_set(1, 1)
    again = sources[0].frame_set(1, 1)
    assert (first.cameras[0].pixels == again.cameras[0].pixels).all()
    interval = (first.stamp_ns - sources[0].frame_set(1, 0).stamp_ns) * 1e-9
    assert 0.09 < interval < 0.51


def test_oversampling_keeps_the_view(sources):
    plain, finer = (source.frame_set(0, 0) for source in sources)
    assert plain.cameras[0].pixels.shape == finer.cameras[0].pixels.shape == (32, 96, 3)
    for first, second in zip(plain.cameras, finer.cameras, strict=True):
        points = np.array([[0.0, 0, 10], [2, 1, 8]])
        pixels = [
            geometry.project(geometry.homogeneous_intrinsic(c.calibration.intrinsic), points)[0]
            for c in (first, second)
        ]
        np.testing.assert_allclose(*pixels, atol=0.6)
        difference = first.pixels.astype(float) - second.pixels.astype(float)
        assert abs(difference).mean() < 20
