"""Real recordings through the whole pipeline and into pictures, with random weights."""

import json

import pytest
from folder import DATA, DDAD, NUSCENES, needs_data

from streampetr_ros.backends.opening import Choice, open_backend
from streampetr_ros.pipeline.streaming import StreamingPipeline
from streampetr_ros.sources import open_source
from streampetr_ros.tools.replay.job import replay_source
from streampetr_ros.tools.replay.output import ReplayWriter
from streampetr_ros.viz.frame_picture import PictureOptions

pytestmark = needs_data


@pytest.mark.parametrize(("name", "sets"), [(NUSCENES[0], 1), (DDAD, 3)])
def test_replay(name, sets, tmp_path):
    pipeline = StreamingPipeline(open_backend("random:0", "tiny", Choice(threads=1)))
    writer = ReplayWriter(tmp_path, PictureOptions(width=900))
    summary = replay_source(open_source(DATA / name), pipeline, writer, count=10)
    pipeline.close()
    lines = [json.loads(line) for line in (tmp_path / "detections.jsonl").read_text().splitlines()]
    assert summary["sets"] == len(lines) == sets
    assert summary["resets"] == {"first_frame": 1}
    assert [line["num_cameras"] for line in lines] == [6] * sets
    assert len(list((tmp_path / "cameras").iterdir())) == sets
