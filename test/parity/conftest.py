"""The detectors under test, each built once for the whole folder."""

import pytest
from recording import load, published_detector, recording_names
from subject import Subject


@pytest.fixture(scope="session", params=recording_names())
def subject(request, tmp_path_factory):
    recording = load(request.param)
    return Subject(recording, published_detector(request.param, tmp_path_factory.mktemp("pth")))
