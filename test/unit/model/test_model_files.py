"""Models as files: what is read, and one sentence for each thing that cannot be."""

from dataclasses import fields

import pytest
import yaml

from streampetr_ros.core.config import ConfigError
from streampetr_ros.core.reading import FileError
from streampetr_ros.model import config as model_config
from streampetr_ros.model.config import (
    MODEL_NAMES,
    DetectorConfig,
    ImageConfig,
    detector_config,
    model_name,
)

IMAGE = {"height": 64, "width": 96}
LEAST = {"backbone": "resnet_tiny", "image": IMAGE}


@pytest.fixture
def write(tmp_path):
    def write(**changes):
        path = tmp_path / "my_rig.yaml"
        path.write_text(yaml.safe_dump(LEAST | changes))
        return str(path)

    return write


def test_a_file_needs_little_and_gives_the_model_its_name(write):
    found = detector_config(write(num_queries=10))
    image = ImageConfig(height=64, width=96)
    assert found == DetectorConfig(
        name="my_rig", image=image, backbone="resnet_tiny", num_queries=10
    )
    assert model_name("some/where/my_rig.yaml") == "my_rig"
    assert model_name("tiny") == "tiny"


def test_shipped_models_can_be_given_by_their_files_too():
    for name in MODEL_NAMES:
        path = model_config._FOLDER / f"{name}.yaml"
        assert detector_config(str(path)) == detector_config(name)


def test_one_shipped_file_spells_out_everything_for_those_who_write_their_own():
    content = yaml.safe_load((model_config._FOLDER / "stream_petr_r50_900q.yaml").read_text())
    assert {"name", *content} == {field.name for field in fields(DetectorConfig)}
    assert content["image"].keys() == {field.name for field in fields(ImageConfig)}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"color": 1}, "unknown key 'color'; did you mean"),
        ({"num_querys": 1}, "did you mean 'num_queries'"),
        ({"image": {"height": 64}}, "image: missing 'width'"),
        ({"image": IMAGE | {"height": 60}}, "image: image size 96x60 must be a multiple of 32"),
        ({"image": IMAGE | {"height": 0}}, "image: image size 96x0 must be a multiple of 32"),
        ({"image": IMAGE | {"channel_order": "gbr"}}, "'gbr' is neither 'rgb' nor 'bgr'"),
        ({"image": IMAGE | {"std": [1, 0, 1]}}, "std .* must be positive"),
        ({"image": IMAGE | {"mean": [1, 2]}}, "image: mean: expected 3 values, got 2"),
        ({"image": "64x96"}, "image: expected a mapping"),
        ({"backbone": "resnet9"}, "no backbone named 'resnet9'; known: resnet50, "),
        ({"num_queries": 0}, "num_queries must be at least 1, got 0"),
        ({"num_queries": "many"}, "num_queries: expected int, got 'many'"),
        ({"num_heads": 7}, "embed_dims must be a multiple of 4 . num_heads"),
        ({"memory_length": 100}, "num_propagated exceeds memory_length"),
        ({"num_queries": 9, "num_propagated": 9, "num_proposals": 19}, "num_proposals exceeds num"),
        ({"detection_range": [1, 2, 3, 4]}, "detection_range: expected 6 values, got 4"),
        ({"detection_range": [9, 0, 0, 8, 1, 1]}, "detection_range goes from 9 to 8 in x; give"),
        ({"center_range": [0, 0, 0, 8, 1, float("nan")]}, "center_range goes from 0 to nan in z"),
        ({"position_range": [-9, -9, -9, 1, 1, 1]}, "depth_start 1 must be between 0 and .* 1$"),
        ({"depth_start": 0}, "depth_start 0 must be between"),
        ({"class_names": []}, "class_names must name at least one class"),
        ({"class_names": ["car", " "]}, "and none may be empty"),
        ({"class_names": ["car", "bus", "car"]}, "class_names has 'car' twice; name each"),
        ({"class_names": "car"}, "class_names: expected a list, got 'car'"),
        ({"nms_radius": -1}, "nms_radius must be finite and not negative"),
        ({"training_interval": 0}, "training_interval must be positive"),
        ({"dropout": 1}, "dropout must be at least 0 and below 1"),
        ({"name": "mine"}, "called like its file; remove the key 'name'"),
    ],
)
def test_values_that_cannot_be(write, changes, sentence):
    path = write(**changes)
    with pytest.raises(ConfigError, match=sentence) as caught:
        detector_config(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_single_frame_models_need_no_memory(write):
    assert detector_config(write(temporal=False, memory_length=0)).total_queries == 644


@pytest.mark.parametrize("content", ["", "- backbone", "backbone"])
def test_files_that_are_no_mapping(tmp_path, content):
    path = tmp_path / "my_rig.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"my_rig.yaml: expected a mapping of settings"):
        detector_config(str(path))


def test_files_that_are_missing_or_no_yaml(tmp_path):
    with pytest.raises(FileError, match=r"cannot read model file '.*none.yaml': No such file"):
        detector_config(str(tmp_path / "none.yaml"))
    path = tmp_path / "my_rig.yml"
    path.write_text("image: {height: 64")
    with pytest.raises(FileError, match=r"model file '.*my_rig.yml' is not valid YAML"):
        detector_config(str(path))


def test_names_that_mean_nothing_or_two_things(tmp_path):
    for name in ("stream_petr_r18", str(tmp_path / "my_rig"), ""):
        with pytest.raises(ConfigError, match=f"'{name}' is not one of focal_.*path of a YAML"):
            detector_config(name)
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(LEAST))
    with pytest.raises(
        ConfigError, match=r"called like a model that comes with.*; rename the file"
    ):
        detector_config(str(path))
