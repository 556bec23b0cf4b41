"""Image preparation against the recorded numbers of the published test-time pipeline."""

import numpy as np
import pytest
from recording import FOLDER

from streampetr_ros.model.config import ImageConfig, detector_config
from streampetr_ros.preprocess.image import plan_resize_crop, prepare_image, resize_and_crop

PIECES = FOLDER / "train_pieces.npz"

pytestmark = pytest.mark.skipif(not PIECES.is_file(), reason=f"{PIECES.name} is not here")

CASES = {
    "prep.704": detector_config("stream_petr_r50_428q").image,
    "prep.800": detector_config("stream_petr_v2_99_900q").image,
}


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(PIECES) as archive:
        return {name: archive[name] for name in archive.files if name.startswith("prep.")}


def waves_and_blocks(seed: int, height: int, width: int) -> np.ndarray:
    """The documented test image: six plane waves and two grids of random blocks, (3, H, W)."""
    rng = np.random.RandomState(seed)
    rows, columns = (np.arange(height) / height)[:, None], (np.arange(width) / width)[None]
    image = np.zeros((3, height, width))
    for _ in range(6):
        frequency_x, frequency_y = rng.uniform(-6, 6, 2)
        amplitudes, phases = rng.uniform(0.2, 0.6, 3), rng.uniform(0, 2 * np.pi, 3)
        angle = 2 * np.pi * (frequency_x * columns + frequency_y * rows)
        image += amplitudes[:, None, None] * np.sin(angle + phases[:, None, None])
    for size, strength in ((64, 0.5), (16, 0.4)):
        blocks = strength * rng.standard_normal((3, -(-height // size), -(-width // size)))
        image += np.kron(blocks, np.ones((1, size, size)))[:, :height, :width]
    return image.astype(np.float32)


@pytest.fixture(scope="module")
def pixels(golden) -> np.ndarray:
    """The test image as RGB; it is recorded as BGR."""
    levels = np.round(118 + 55 * waves_and_blocks(77, 900, 1600))
    bgr = np.clip(levels, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    np.testing.assert_array_equal(bgr.sum(axis=(0, 1)), golden["prep.raw_sum"])
    return np.ascontiguousarray(bgr[..., ::-1])


@pytest.mark.parametrize("case", CASES)
def test_cropped_bytes_are_equal(golden, pixels, case):
    cropped = resize_and_crop(pixels, plan_resize_crop(1600, 900, CASES[case]))
    assert cropped.shape == tuple(golden[f"{case}.shape"])
    bgr = cropped[..., ::-1]
    np.testing.assert_array_equal(bgr[::8, ::8], golden[f"{case}.cropped_uint8_probe"])
    np.testing.assert_array_equal(bgr.sum(axis=(0, 1)), golden[f"{case}.cropped_sum"])


@pytest.mark.parametrize("case", CASES)
def test_normalised_planes_and_intrinsics(golden, pixels, case):
    config: ImageConfig = CASES[case]
    out = np.empty((3, config.height, config.width), np.float32)
    prepare_image(pixels, config, out)
    network_from_image = plan_resize_crop(1600, 900, config).network_from_image
    np.testing.assert_allclose(out[:, ::8, ::8], golden[f"{case}.normalized_probe"], atol=1e-6)
    intrinsic = network_from_image @ golden[f"{case}.intrinsics_in"][:3, :3]
    np.testing.assert_allclose(intrinsic, golden[f"{case}.intrinsics_out"][:3, :3], rtol=1e-7)
