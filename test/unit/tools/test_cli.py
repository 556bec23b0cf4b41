"""The command line: quick help, files of a replay, one-line errors without tracebacks."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from recordings import write_recording
from rigs import EASY_TRACKING, driving_pose, frame_set
from typer.testing import CliRunner

from streampetr_ros.backends import opening
from streampetr_ros.backends.opening import open_backend
from streampetr_ros.core.config import dump_config
from streampetr_ros.core.errors import UserError
from streampetr_ros.model.checkpoints.weights import save_weights
from streampetr_ros.model.config import detector_config
from streampetr_ros.model.detector import build_detector
from streampetr_ros.pipeline.streaming import PipelineConfig, StreamingPipeline
from streampetr_ros.sources import open_source
from streampetr_ros.tools.cli import VERBS, build_app
from streampetr_ros.tools.reporting import user_errors

ROOT = Path(__file__).resolve().parents[3]
SMALL = (176, 99)
BOX = {"center": [0, 15, -1], "size_lwh": [4, 2, 1.5], "yaw": 1.5, "velocity": None, "cls": "car"}


def run(*arguments: object) -> tuple[int, str]:
    """Exit code and everything written."""
    words = [str(argument) for argument in arguments]
    result = CliRunner().invoke(build_app({words[0]}), words)
    expected = result.exception is None or isinstance(result.exception, SystemExit)
    assert expected, result.exception
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture(autouse=True)
def _nothing_ships(monkeypatch):
    monkeypatch.setattr(opening, "shipped", lambda _: None)


@pytest.fixture
def recording(tmp_path) -> Path:
    folder = tmp_path / "drive"
    for index in range(2):
        one = frame_set(index, size=SMALL)
        write_recording(folder / str(index), one, driving_pose(0.5 * index + 0.001), [BOX])
    return folder


def test_help_is_quick_because_nothing_heavy_is_imported():
    script = (
        "import sys; sys.argv = ['streampetr', '--help']\n"
        "from streampetr_ros.tools.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'cv2', 'scipy', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert all(verb in done.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb):
    assert run(verb, "--help")[0] == 0


def test_the_synthetic_world_becomes_a_data_set(tmp_path):
    options = ("--scenes", 1, "--seconds", 1, "--width", 96, "--height", 54)
    code, text = run("synthesize", tmp_path / "data", *options)
    assert code == 0
    assert "1 scenes with 2 key frames" in text
    assert len(list((tmp_path / "data" / "samples" / "CAM_FRONT").glob("*.jpg"))) == 2
    code, text = run("synthesize", tmp_path / "data", *options)
    assert code == 1
    assert "exists already" in text


def test_replay_writes_boxes_pictures_and_summary(recording, tmp_path):
    out = tmp_path / "out"
    code, text = run("replay", recording, "--model", "tiny", "--out", out)
    assert code == 0
    assert "RANDOM WEIGHTS (random:0)" in text
    lines = [json.loads(line) for line in (out / "detections.jsonl").read_text().splitlines()]
    assert [line["reset_reason"] for line in lines] == ["first_frame", None]
    assert lines[0]["frame"] == "base"
    assert lines[0]["num_cameras"] == 6
    assert {"preprocess", "network", "track"} <= set(lines[0]["timings_ms"])
    box = lines[1]["detections"][0]
    assert set(box) == {"class", "score", "center", "size_lwh", "yaw", "velocity", "track_id"}
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["sets"], summary["model"], summary["weights"]) == (2, "tiny", "random:0")
    assert set(summary["milliseconds"]["network"]) == {"p50", "p90", "p99"}
    assert Image.open(out / "cameras" / "000001.jpg").size[0] == 1600
    assert Image.open(out / "top_view" / "000001.png").size == (800, 800)


def test_replay_equals_the_pipeline(recording, tmp_path):
    """What is written is what the library gives, to the written precision."""
    out = tmp_path / "out"
    settings = tmp_path / "tracking.yaml"
    dump_config(EASY_TRACKING, settings)
    options = ("--no-pictures", "--tracking-config", settings)
    run("replay", recording, "--model", "tiny", "--out", out, *options)
    lines = [json.loads(line) for line in (out / "detections.jsonl").read_text().splitlines()]
    backend = open_backend("random:0", "tiny")
    pipeline = StreamingPipeline(backend, PipelineConfig(tracking=EASY_TRACKING))
    for line, one in zip(lines, open_source(recording), strict=True):
        result = pipeline.step(one)
        centers = [box["center"] for box in line["detections"]]
        np.testing.assert_allclose(centers, result.detections.boxes.centers, atol=1e-5)
        track_ids = [box["track_id"] for box in line["detections"]]
        np.testing.assert_array_equal(track_ids, result.detections.track_ids)
        assert [track["track_id"] for track in line["tracks"]] == result.tracks.ids.tolist() != []
        centers = [track["center"] for track in line["tracks"]]
        np.testing.assert_allclose(centers, result.tracks.boxes.centers, atol=1e-5)
    assert set(line["tracks"][0]) == {*line["detections"][0], "age", "unseen"}
    assert not (out / "cameras").exists()


def test_replay_without_tracking(recording, tmp_path):
    out = tmp_path / "out"
    run("replay", recording, "--model", "tiny", "--out", out, "--no-pictures", "--no-tracking")
    line = json.loads((out / "detections.jsonl").read_text().splitlines()[1])
    assert line["tracks"] == []
    assert "track_id" not in line["detections"][0]


def test_replay_of_trained_weights_is_silent_about_randomness(recording, tmp_path):
    weights = tmp_path / "tiny.safetensors"
    save_weights(weights, build_detector(detector_config("tiny")))
    out = tmp_path / "out"
    options = ("--weights", weights, "--limit", 1, "--no-pictures")
    code, text = run("replay", recording, "--model", "tiny", "--out", out, *options)
    assert code == 0
    assert "RANDOM" not in text


def broken_weights(folder: Path) -> Path:
    path = folder / "broken.safetensors"
    path.write_bytes(b"not weights")
    return path


def test_failures_are_one_line(recording, tmp_path):
    out = tmp_path / "out"
    rest = ("--model", "tiny", "--out", out)
    cases = [
        ((tmp_path / "nowhere", *rest), 1, "does not exist; give a folder"),
        ((recording, *rest, "--weights", tmp_path / "no.safetensors"), 1, "does not exist"),
        ((recording, *rest, "--weights", broken_weights(tmp_path)), 1, "not a complete"),
        ((recording, *rest, "--weights", "random:x"), 1, "no number behind the colon"),
        ((recording, *rest, "--device", "tpu"), 1, "is no device"),
        ((recording, *rest, "--cuda-graphs", "perhaps"), 1, "cuda_graphs cannot be 'perhaps'"),
        ((recording, *rest, "--tracking-config", tmp_path / "no.yaml"), 1, "cannot read"),
        ((recording, *rest, "--memory-interval", 9), 2, "memory_interval_s (9.0) must be below"),
        ((recording, "--model", "resnet", "--out", out), 2, "is not one of"),
        ((recording, "--model", "tiny"), 2, "--out"),
    ]
    for arguments, expected_code, message in cases:
        code, text = run("replay", *arguments)
        assert (code, message in text) == (expected_code, True), text
        assert "Traceback" not in text


def test_an_output_folder_that_is_a_file_is_named(recording, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("")
    code, text = run("replay", recording, "--model", "tiny", "--out", taken)
    assert code == 1
    assert "error: cannot access" in text
    assert "taken" in text


def test_broken_images_end_a_replay_with_their_name(recording, tmp_path):
    (recording / "1" / "CAM_BACK.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    code, text = run("replay", recording, "--model", "tiny", "--out", tmp_path / "o")
    assert code == 1
    assert "CAM_BACK.png' is broken" in text


def test_convert_refuses_what_is_no_checkpoint(tmp_path):
    noise = tmp_path / "noise.pth"
    noise.write_bytes(b"\x00" * 100)
    target = tmp_path / "w.safetensors"
    code, text = run("convert", noise, "--model", "stream_petr_r50_428q", "-o", target)
    assert (code, target.exists()) == (1, False)
    assert "error: checkpoint" in text
    assert run("convert", noise, "--model", "huge", "-o", target)[0] == 2


def test_benchmark_refuses_a_wrong_size():
    code, text = run("benchmark", "--size", "large")
    assert code == 2
    assert "not a size such as 1600x900" in text


def test_random_weights_repeat():
    one, other = (open_backend("random:5", "tiny") for _ in range(2))
    assert one.config.name == "tiny"
    first = next(iter(one._detector.parameters()))
    assert first.equal(next(iter(other._detector.parameters())))
    with pytest.raises(UserError, match="need a model name"):
        open_backend("random:0")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"
        ),
    ],
)
def test_lack_of_memory_is_one_line(error, capsys):
    with pytest.raises(typer.Exit), user_errors():
        raise error
    said = capsys.readouterr().err
    assert said.startswith("error: there is too little free memory; ")
    assert said.count("\n") == 1


def test_a_defect_is_not_taken_for_something_expected():
    with pytest.raises(RuntimeError, match="index out of range"), user_errors():
        raise RuntimeError("index out of range")
