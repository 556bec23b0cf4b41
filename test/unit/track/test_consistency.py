"""The stated covariances are as large as the errors really are."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from moving_boxes import Thing, detect

from streampetr_ros.track import Tracker
from streampetr_ros.track.config import TrackingConfig
from streampetr_ros.track.motion import (
    MEASURED,
    Belief,
    Measurement,
    correct,
    predict,
    start,
)

TURN_MEMORY = 1.5


def noise_of(count, acceleration, turn_rate, yaw_drift=0.1):
    return SimpleNamespace(
        acceleration=np.full(count, acceleration),
        turn_rate=np.full(count, turn_rate),
        yaw_drift=np.full(count, yaw_drift),
    )


def test_prediction_does_not_depend_on_the_number_of_steps():
    belief = Belief(
        means=np.array([[1.0, 2.0, 0.5, 0.3, 4.0, 1.0, 0.0]]),
        covariances=0.1 * np.eye(7)[None],
    )
    once = predict(belief, noise_of(1, 1.0, 0.0), 1.2, TURN_MEMORY)
    often = belief
    for _ in range(12):
        often = predict(often, noise_of(1, 1.0, 0.0), 0.1, TURN_MEMORY)
    np.testing.assert_allclose(often.means, once.means, atol=1e-9)
    # The turn rate fades within a prediction, which one long step can only approximate.
    np.testing.assert_allclose(
        often.covariances[:, :6, :6], once.covariances[:, :6, :6], rtol=0.15, atol=0.02
    )


def test_jacobian_is_the_derivative():
    random = np.random.default_rng(0)
    silent = noise_of(1, 0.0, 0.0, yaw_drift=0.0)
    for _ in range(20):
        mean = random.normal(size=7) * np.array([5, 5, 1, 1, 6, 6, 0.5])
        step = 1e-5
        spread = np.eye(7)[None]
        exact = predict(
            Belief(means=mean[None], covariances=spread), silent, 0.7, TURN_MEMORY
        ).covariances[0]
        columns = []
        for i in range(7):
            up, down = mean.copy(), mean.copy()
            up[i] += step
            down[i] -= step
            ends = [
                predict(Belief(means=m[None], covariances=spread), silent, 0.7, TURN_MEMORY).means[
                    0
                ]
                for m in (up, down)
            ]
            columns.append((ends[0] - ends[1]) / (2 * step))
        jacobian = np.array(columns).T
        exact[2, 2] -= 0.3**2 * 0.7
        np.testing.assert_allclose(jacobian @ jacobian.T, exact, atol=1e-4)


@pytest.mark.parametrize("elapsed", [0.1, 0.5])
def test_errors_match_covariances_when_the_world_is_as_assumed(elapsed):
    """Average normalised squared error of the planar state lies in its 99.9 % interval."""
    random, count, steps = np.random.default_rng(4), 400, 15
    noise = noise_of(count, 1.5, 0.0)
    errors = np.diag([0.4, 0.3, 0.2, 0.1, 0.6, 0.6]) ** 2
    truth = np.zeros((count, 7))
    truth[:, 4:6] = random.normal(size=(count, 2)) * 5
    belief = None
    for _ in range(steps):
        values = truth[:, :MEASURED] + random.multivariate_normal(np.zeros(6), errors, count)
        measurement = Measurement(
            values=values,
            covariances=np.tile(errors, (count, 1, 1)),
            has_velocity=np.ones(count, dtype=bool),
        )
        if belief is None:
            belief = start(measurement, np.zeros(count))
        else:
            belief, _ = correct(predict(belief, noise, elapsed, TURN_MEMORY), measurement, 1.0)
        planar = np.array([0, 1, 4, 5])
        residuals = (truth - belief.means)[:, planar]
        spreads = belief.covariances[:, planar[:, None], planar]
        nees = np.einsum("ni,nij,nj->n", residuals, np.linalg.inv(spreads), residuals)
        assert 3.3 < nees.mean() < 4.7
        truth = moved(truth, 1.5, elapsed, random)


def moved(truth, acceleration, elapsed, random):
    """Move points under white acceleration, exactly."""
    covariance = acceleration**2 * np.array(
        [[elapsed**3 / 3, elapsed**2 / 2], [elapsed**2 / 2, elapsed]]
    )
    after = truth.copy()
    for position, velocity in ((0, 4), (1, 5)):
        kick = random.multivariate_normal(np.zeros(2), covariance, len(truth))
        after[:, position] += elapsed * truth[:, velocity] + kick[:, 0]
        after[:, velocity] += kick[:, 1]
    return after


@pytest.mark.parametrize("rate", [2.0, 10.0])
def test_reported_covariances_fit_detector_errors_that_last(rate):
    """Errors that persist over frames must not make fast streams overconfident."""
    base, random = TrackingConfig(), np.random.default_rng(5)
    kind = replace(base.vehicle, position_noise=0.5, depth_noise=0.0, lateral_noise=0.0)
    tracker = Tracker(replace(base, vehicle=kind))
    things = [Thing("car", (20.0 * i, 15.0), (5.0, 0.0)) for i in range(-12, 12)]
    keep = np.exp(-1.0 / rate / base.error_memory)
    lasting = random.normal(size=(len(things), 4))
    collected = []
    for step in range(round(8 * rate)):
        fresh = random.normal(size=lasting.shape)
        lasting = keep * lasting + np.sqrt(1 - keep**2) * fresh
        detections = detect(things, step / rate)
        truth = detections.boxes.centers[:, :2].copy()
        boxes = shifted(
            detections.boxes, 0.5 * lasting[:, :2], kind.velocity_noise * lasting[:, 2:]
        )
        tracks = tracker.step(replace(detections, boxes=boxes), np.eye(4))
        if step > 2 * rate:
            collected += list(squared_errors(tracks, truth))
    # Two dimensions make 2 on average when all is known; the error model here is an approximation.
    assert 0.7 < np.mean(collected) < 4.0


def shifted(boxes, offsets, velocity_errors):
    centers = boxes.centers.copy()
    centers[:, :2] += offsets
    return replace(boxes, centers=centers, velocities=boxes.velocities + velocity_errors)


def squared_errors(tracks, truth):
    for index in range(len(tracks)):
        offsets = truth - tracks.boxes.centers[index, :2]
        offset = offsets[np.argmin(np.hypot(offsets[:, 0], offsets[:, 1]))]
        yield offset @ np.linalg.solve(tracks.covariances[index, :2, :2], offset)
