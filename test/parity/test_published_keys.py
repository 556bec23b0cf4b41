"""Checkpoints of every published configuration convert, whether or not frames were recorded."""

import pytest
from recording import known_model, published_detector, published_names, recording_names

KEYS_ONLY = [name for name in published_names() if name not in recording_names()]


@pytest.mark.skipif(not published_names(), reason="no golden recordings here")
@pytest.mark.parametrize("name", KEYS_ONLY)
def test_published_keys_convert(name, tmp_path):
    detector = published_detector(name, tmp_path)
    assert detector.config.name == known_model(name)
