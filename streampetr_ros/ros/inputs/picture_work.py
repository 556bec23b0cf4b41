"""Decoding and preparing of single images, begun when they arrive instead of when a set is whole.

So what is left once the last camera has delivered is the work of its image alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any

import numpy as np

from streampetr_ros.core.threads import let_others_go_first
from streampetr_ros.core.types import CameraFrame
from streampetr_ros.ingest.assembly import Assembler
from streampetr_ros.ingest.pictures.pixels import Pixels
from streampetr_ros.preprocess.pixel_path import PictureAhead
from streampetr_ros.ros.inputs.camera_input import ReceivedImage

#: Prepares a picture, of which the pose is not used.
PrepareAhead = Callable[[CameraFrame], PictureAhead[Any]]

#: Images may wait for a thread so long as they are fewer than this per thread; a camera that sends
#: far too many must not fill the memory.
_WAITING_PER_THREAD = 4
#: A pose that nobody knows yet, and that must not be taken for one.
_NO_POSE = np.full((4, 4), np.nan)


class PictureWork:
    """Decodes images in threads of its own and prepares them there.

    Args:
        assembler: decodes, and knows the calibrations that cameras probably still have.
        threads: images in work side by side.
        prepare: prepares a decoded picture.
    """

    def __init__(self, assembler: Assembler, threads: int, prepare: PrepareAhead) -> None:
        self._assembler = assembler
        self._prepare = prepare
        self._pool = ThreadPoolExecutor(
            threads, thread_name_prefix="decode", initializer=let_others_go_first
        )
        self._most = threads * _WAITING_PER_THREAD
        self._waiting = 0
        self._lock = Lock()

    def begin_early(self, camera: str, image: ReceivedImage) -> None:
        """Begin with an image that has just arrived, unless too many wait already."""
        with self._lock:
            has_room = self._waiting < self._most
        if has_room:
            self.begun(camera, image)

    def begun(self, camera: str, image: ReceivedImage) -> Future[Pixels]:
        """Return the picture of an image, beginning now if that has not happened.

        What it raises is the `SkippedSet` of an image that cannot be decoded.
        """
        if image.decoded is None:
            with self._lock:
                self._waiting += 1
            image.decoded = Future()
            self._pool.submit(self._work, camera, image, image.decoded)
        return image.decoded

    def close(self) -> None:
        """Finish what has begun and stop the threads."""
        self._pool.shutdown()

    def _work(self, camera: str, image: ReceivedImage, decoded: Future[Pixels]) -> None:
        begin = time.perf_counter()
        try:
            pixels = self._assembler.decode(camera, image)
        except Exception as error:  # noqa: BLE001 - raised to the set that waits for the picture
            decoded.set_exception(error)
            return
        finally:
            image.decode_ms = (time.perf_counter() - begin) * 1e3
            with self._lock:
                self._waiting -= 1
        # Of the calibration that its set probably has.
        calibration = self._assembler.last_built(camera)
        if calibration is None or pixels.shape[:2] != (calibration.height, calibration.width):
            decoded.set_result(pixels)
            return
        frame = CameraFrame(
            calibration=calibration, stamp_ns=0, pixels=pixels, fixed_from_base=_NO_POSE
        )
        prepared: Future[PictureAhead[Any]] = Future()
        image.prepared = prepared
        # The set goes on with all that only needs to know the picture. Another thread would be
        # quick to prepare it, too, but would have to wait for Python until the set had done so.
        decoded.set_result(pixels)
        try:
            prepared.set_result(self._prepare(frame))
        except Exception as error:  # noqa: BLE001 - the set prepares it again, and reports why not
            prepared.set_exception(error)
