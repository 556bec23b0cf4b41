"""Learned queries start where objects are."""

import pytest
import torch
from micro import MICRO

from streampetr_ros.core.errors import UserError
from streampetr_ros.model.detector import build_detector
from streampetr_ros.training.data.targets import Targets
from streampetr_ros.training.run.query_placement import place_queries


def targets(centers):
    codes = torch.zeros(len(centers), 10)
    codes[:, :3] = centers
    return Targets(codes, torch.zeros(len(centers), dtype=torch.int64))


def metric(detector):
    low, high = torch.tensor(detector.config.detection_range).chunk(2)
    return detector.head.reference_points.detach() * (high - low) + low


def test_queries_stand_at_the_clusters():
    torch.manual_seed(0)
    detector = build_detector(MICRO)
    spots = torch.rand(MICRO.num_queries, 3) * torch.tensor([80.0, 80.0, 2.0])
    spots -= torch.tensor([40.0, 40.0, 1.5])
    near = [targets(spots + 0.01 * torch.randn_like(spots)) for _ in range(8)]
    place_queries(detector, near, 3)
    nearest = torch.cdist(spots, metric(detector)).min(dim=1).values
    # A cluster may settle between two spots; most have a query of their own.
    assert (nearest < 0.1).float().mean() > 0.6
    assert nearest.median() < 0.1


def test_the_seed_decides():
    truth = [targets(torch.rand(400, 3) * 30.0)]
    detectors = [build_detector(MICRO) for _ in range(2)]
    for detector in detectors:
        place_queries(detector, truth, 7)
    assert torch.equal(*(detector.head.reference_points for detector in detectors))


def test_objects_outside_of_the_range_do_not_count():
    detector = build_detector(MICRO)
    inside = torch.rand(MICRO.num_queries * 4, 3)
    place_queries(detector, [targets(torch.cat([inside, inside + 500.0]))], 0)
    assert metric(detector).max() < 2.0


def test_too_few_objects_are_said():
    with pytest.raises(UserError, match="3 objects cannot place"):
        place_queries(build_detector(MICRO), [targets(torch.rand(3, 3))], 0)
