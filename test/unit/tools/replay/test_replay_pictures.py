"""Pictures of cameras whose lenses distort show straightened images."""

from dataclasses import replace

import numpy as np
from PIL import Image
from rigs import frame_set

from streampetr_ros.backends.opening import open_backend
from streampetr_ros.pipeline.streaming import StreamingPipeline
from streampetr_ros.preprocess.undistort import Rectifier
from streampetr_ros.tools.replay.output import ReplayWriter
from streampetr_ros.viz.frame_picture import PictureOptions
from streampetr_ros.viz.overlay import render_cameras


def distorted():
    one = frame_set(0, size=(320, 180))
    stripes = np.zeros((180, 320, 3), np.uint8)
    stripes[::12] = 255
    cameras = tuple(
        replace(
            camera,
            pixels=stripes,
            calibration=replace(
                camera.calibration,
                distortion_model="plumb_bob",
                distortion=np.array([-0.35, 0.1, 0.0, 0.0, 0.0]),
            ),
        )
        for camera in one.cameras
    )
    return replace(one, cameras=cameras)


def test_pictures_are_straightened(tmp_path):
    one = distorted()
    pipeline = StreamingPipeline(open_backend("random:0", "tiny"))
    options = PictureOptions(draw_above=1.0, truth=False, width=960)
    ReplayWriter(tmp_path, options).write(one, pipeline.step(one))
    pipeline.close()
    (path,) = (tmp_path / "cameras").iterdir()
    drawn = np.asarray(Image.open(path)).astype(int)
    straight = render_cameras(Rectifier().frame_set(one), [], 960).astype(int)
    raw = render_cameras(one, [], 960).astype(int)
    assert np.abs(drawn - straight).mean() < 3.0  # what JPEG loses
    assert np.abs(drawn - raw).mean() > 20.0
