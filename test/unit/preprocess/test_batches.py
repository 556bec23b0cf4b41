"""Network images find their places before their set is known, and none is ever lost or mixed up."""

from __future__ import annotations

import gc

import numpy as np
import torch

from streampetr_ros.preprocess.pixel_path import ImageBatches, ImagePlace

CAMERAS = ("front", "left", "right")
SIZE = (4, 6)


def image_of(place: ImagePlace) -> np.ndarray:
    return place.batch.images[place.camera]


def written(batches: ImageBatches, camera: str, mark: float) -> ImagePlace:
    place = batches.place(camera, SIZE)
    assert image_of(place).shape == (3, *SIZE)
    image_of(place)[...] = mark
    return place


def gathered(
    batches: ImageBatches, marks: dict[str, float], places: dict[str, ImagePlace]
) -> tuple[np.ndarray, bool]:
    """Gather a set, check its images, tell whether all of them stayed in place."""
    names = [name if name in places else "" for name in CAMERAS]
    indexed = {CAMERAS.index(name): place for name, place in places.items()}
    images = batches.gather(names, indexed, SIZE)
    assert images.shape == (len(CAMERAS), 3, *SIZE)
    assert images.dtype == np.float32
    for name, mark in marks.items():
        assert (images[CAMERAS.index(name)] == mark).all(), name
    in_place = all(np.shares_memory(images[i], image_of(place)) for i, place in indexed.items())
    return images, in_place


def one_set(batches: ImageBatches, mark: float, cameras: tuple[str, ...] = CAMERAS) -> bool:
    places = {name: written(batches, name, mark + i) for i, name in enumerate(cameras)}
    marks = {name: mark + i for i, name in enumerate(cameras)}
    return gathered(batches, marks, places)[1]


def test_places_are_right_once_the_order_is_known() -> None:
    batches = ImageBatches()
    assert [one_set(batches, 10.0 * count) for count in range(4)] == [False, True, True, True]


def test_any_order_of_arrival_and_overlap_of_sets() -> None:
    batches = ImageBatches()
    one_set(batches, 0.0)
    first = {name: written(batches, name, 1.0) for name in ("right", "front")}
    second = {"right": written(batches, "right", 2.0)}
    first["left"] = written(batches, "left", 1.0)
    second |= {name: written(batches, name, 2.0) for name in ("left", "front")}
    for mark, places in ((1.0, first), (2.0, second)):
        assert gathered(batches, dict.fromkeys(CAMERAS, mark), places)[1]


def test_sets_handed_out_are_never_written_again() -> None:
    batches = ImageBatches()
    one_set(batches, 0.0)
    kept = []
    for mark in (1.0, 2.0, 3.0):
        places = {name: written(batches, name, mark) for name in CAMERAS}
        kept.append(gathered(batches, dict.fromkeys(CAMERAS, mark), places)[0])
    for mark, images in zip((1.0, 2.0, 3.0), kept, strict=True):
        assert (images == mark).all()


def test_after_a_lost_picture_one_is_moved_and_then_none() -> None:
    batches = ImageBatches()
    one_set(batches, 0.0)
    # This set is never complete.
    for name in ("front", "right"):
        written(batches, name, 1.0)
    assert not one_set(batches, 2.0)
    assert one_set(batches, 3.0)


def test_a_late_picture_of_another_set_does_no_harm() -> None:
    """It was given a place in the array, where it may be written at any time."""
    batches = ImageBatches()
    one_set(batches, 0.0)
    places = {name: written(batches, name, 1.0) for name in ("front", "left")}
    late = batches.place("right", SIZE)
    images, in_place = gathered(batches, dict.fromkeys(places, 1.0), places)
    assert not in_place
    images[CAMERAS.index("right")] = 0.0
    image_of(late)[...] = 9.0
    assert not images[CAMERAS.index("right")].any()
    assert one_set(batches, 2.0)


def test_a_camera_that_comes_back_is_expected_where_it_was() -> None:
    batches = ImageBatches()
    one_set(batches, 0.0)
    assert one_set(batches, 1.0, ("front", "right"))
    assert one_set(batches, 2.0)


def test_another_order_is_learned() -> None:
    batches = ImageBatches()
    one_set(batches, 0.0)
    for expected in (False, True):
        places = {name: written(batches, name, i) for i, name in enumerate(CAMERAS)}
        turned = CAMERAS[::-1]
        images = batches.gather(turned, {turned.index(n): p for n, p in places.items()}, SIZE)
        for index, name in enumerate(turned):
            assert (images[index] == CAMERAS.index(name)).all()
            assert np.shares_memory(images[index], image_of(places[name])) == expected


def test_pictures_that_nobody_wants_hold_little_memory() -> None:
    batches = ImageBatches()
    one_set(batches, 0.0)
    for mark in range(50):
        written(batches, "front", mark)
    assert len(batches._open) < 10
    assert not one_set(batches, 1.0)
    assert one_set(batches, 2.0)


def test_without_pictures_nothing_is_learned() -> None:
    batches = ImageBatches()
    one_set(batches, 0.0)
    assert batches.gather(("", ""), {}, SIZE).shape == (2, 3, *SIZE)
    assert one_set(batches, 1.0)


def test_memory_is_used_again_when_nobody_needs_it() -> None:
    batches = ImageBatches()
    one_set(batches, 0.0)
    addresses = set()
    for mark in range(20):
        places = {name: written(batches, name, mark) for name in CAMERAS}
        images, in_place = gathered(batches, dict.fromkeys(CAMERAS, float(mark)), places)
        assert in_place
        addresses.add(images.ctypes.data)
        del images, places
    assert len(addresses) <= 2


def test_memory_that_a_tensor_shows_is_left_alone() -> None:
    batches = ImageBatches()
    one_set(batches, 0.0)
    kept = []
    for mark in range(5):
        places = {name: written(batches, name, mark) for name in CAMERAS}
        images, _ = gathered(batches, dict.fromkeys(CAMERAS, float(mark)), places)
        kept.append(torch.from_numpy(images)[None][0, 1])
        del images, places
    gc.collect()
    for mark in range(10, 15):
        one_set(batches, mark)
    for mark, picture in enumerate(kept):
        assert (picture == mark).all()


def test_memory_of_a_peak_is_not_kept() -> None:
    batches = ImageBatches()
    one_set(batches, 0.0)
    kept = [batches.gather(CAMERAS, {0: batches.place("front", SIZE)}, SIZE) for _ in range(10)]
    kept.clear()
    assert len(batches._free) <= 2
