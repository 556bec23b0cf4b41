"""Token positions are encoded again exactly when a projection changed."""

import micro_detector as micro
import pytest
import torch

from streampetr_ros.backends.torch_backend import TorchBackend


@pytest.fixture
def counted():
    detector = micro.detector(temporal=True)
    backend = TorchBackend(detector)
    calls = []
    backend._detector.position.register_forward_hook(lambda *_: calls.append(1))
    return detector, backend, calls


def test_equal_projections_are_encoded_once(counted):
    _, backend, calls = counted
    first = micro.inputs(0)
    backend.run(first, None)
    backend.run(first._replace(model_from_image=first.model_from_image.clone()), None)
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["model_from_image", "focal_lengths"])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_changed_projection_changes_the_outputs(counted, name, in_place):
    detector, backend, calls = counted
    inputs = micro.inputs(0)
    before, _ = backend.run(inputs, None)
    if in_place:
        getattr(inputs, name).mul_(1.3)
    else:
        inputs = inputs._replace(**{name: getattr(inputs, name) * 1.3})
    found, _ = backend.run(inputs, None)
    assert len(calls) == 2
    expected, _ = TorchBackend(detector).run(inputs, None)
    torch.testing.assert_close(found.logits, expected.logits)
    assert not torch.equal(found.logits, before.logits)


def test_another_number_of_cameras(counted):
    _, backend, calls = counted
    backend.run(micro.inputs(0), None)
    backend.run(micro.inputs(0, cameras=4), None)
    assert len(calls) == 2
