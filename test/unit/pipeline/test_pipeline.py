"""The whole step on a small random network: frames, memory, resets, map scale, errors."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from rigs import CAMERAS, driving_pose, frame_set, moved, without
from transforms3d.euler import euler2mat

from streampetr_ros.backends.pytorch.torch_backend import TorchBackend
from streampetr_ros.core import geometry
from streampetr_ros.core.errors import UserError
from streampetr_ros.model.config import DetectorConfig, ImageConfig
from streampetr_ros.model.detector import build_detector
from streampetr_ros.pipeline.data import WholeSet
from streampetr_ros.pipeline.filters import FilterConfig
from streampetr_ros.pipeline.memory_policy import MemoryPolicyConfig, ResetReason
from streampetr_ros.pipeline.streaming import PipelineConfig, StreamingPipeline
from streampetr_ros.preprocess.device_path import DevicePath
from streampetr_ros.preprocess.inputs import CameraMask

SIZE = (128, 72)
MODEL = DetectorConfig(
    name="micro",
    image=ImageConfig(height=64, width=128),
    backbone="resnet_tiny",
    embed_dims=64,
    num_heads=2,
    num_layers=2,
    ffn_dims=64,
    num_queries=24,
    num_propagated=12,
    num_proposals=12,
    memory_length=36,
    depth_bins=32,
    max_detections=40,
)


@pytest.fixture(scope="module")
def backend() -> TorchBackend:
    torch.manual_seed(3)
    detector = build_detector(MODEL)
    # Fresh weights predict almost nothing; spread the outputs so that differences would show.
    for parameter in detector.parameters():
        if parameter.ndim > 1:
            parameter.data *= 1.5
    return TorchBackend(detector)


@pytest.fixture
def pipeline(backend):
    made = StreamingPipeline(backend)
    yield made
    made.close()


def drive(count: int = 4, **arguments):
    return [frame_set(index, size=SIZE, **arguments) for index in range(count)]


def same_boxes(one, other, atol: float = 0.0) -> None:
    np.testing.assert_allclose(one.scores, other.scores, atol=atol, rtol=0)
    np.testing.assert_array_equal(one.labels, other.labels)
    for name in ("centers", "sizes", "yaws", "velocities"):
        actual, wanted = getattr(one.boxes, name), getattr(other.boxes, name)
        # NumPy rounds an arc tangent by where its arguments lie in memory: by one last bit.
        least = 1e-12 if name == "yaws" else 0.0
        np.testing.assert_allclose(actual, wanted, atol=max(least, 10 * atol), rtol=0)


def test_result_names_frames_and_stages(pipeline):
    result = pipeline.step(drive()[0])
    assert (result.detections.frame, result.detections_model.frame) == ("base", "model")
    assert len(result.detections_model) == len(result.detections) == 40
    assert result.detections.stamp_ns == drive()[0].stamp_ns
    assert result.num_cameras == 6
    assert set(result.timings_ms) == {
        "plan",
        "preprocess",
        "network",
        "decode",
        "track",
        "filter",
    }
    assert all(value >= 0 for value in result.timings_ms.values())
    base_from_model = drive()[0].base_from_model
    np.testing.assert_allclose(
        result.detections.boxes.centers,
        geometry.transform_points(base_from_model, result.detections_model.boxes.centers),
    )


def test_memory_matters(backend):
    """The same set gives other boxes with a past than without one."""
    streamed, fresh = StreamingPipeline(backend), StreamingPipeline(backend)
    streamed.step(drive()[0])
    with_past = streamed.step(drive()[1])
    without_past = fresh.step(drive()[1])
    assert with_past.reset_reason is None
    assert np.abs(with_past.detections.scores - without_past.detections.scores).max() > 1e-4


def test_a_reset_equals_a_fresh_start(backend):
    used, fresh = StreamingPipeline(backend), StreamingPipeline(backend)
    for one in drive(3):
        used.step(one)
    used.reset(ResetReason.MANUAL)
    for index, one in enumerate([frame_set(i, size=SIZE) for i in (3, 4, 5)]):
        after_reset, from_fresh = used.step(one), fresh.step(one)
        same_boxes(after_reset.detections, from_fresh.detections)
        expected = (ResetReason.MANUAL, ResetReason.FIRST_FRAME) if index == 0 else (None, None)
        assert (after_reset.reset_reason, from_fresh.reset_reason) == expected


def test_map_coordinates_and_epoch_stamps_change_no_box(backend):
    """A drive at 1e6 m and today's date gives the same boxes within a millimetre."""
    far_away = geometry.transform_from_parts([1.0e6, -0.8e6, 300.0], euler2mat(0.0, 0.0, 1.2))
    near, far = StreamingPipeline(backend), StreamingPipeline(backend)
    for one in drive(5):
        here = near.step(one).detections
        there = far.step(moved(one, far_away, 1_760_000_000_000_000_000)).detections
        same_boxes(here, there, atol=1e-4)
        assert np.abs(here.boxes.centers - there.boxes.centers).max() < 1e-3


def test_camera_order_given_by_name(backend):
    names = tuple(frame.calibration.name for frame in drive(1)[0].cameras)
    named = StreamingPipeline(backend, PipelineConfig(cameras=names))
    plain = StreamingPipeline(backend)
    for one in drive(2):
        shuffled = replace(one, cameras=one.cameras[::-1])
        same_boxes(named.step(shuffled).detections, plain.step(one).detections)


def test_a_missing_camera_is_not_a_reset(pipeline):
    first, second, third = drive(3)
    pipeline.step(first)
    result = pipeline.step(without(second, "CAM_BACK"))
    assert (result.reset_reason, result.num_cameras) == (None, 5)
    assert pipeline.step(third).reset_reason is None


def test_a_failed_set_leaves_memory_and_requests_alone(backend):
    disturbed, undisturbed = StreamingPipeline(backend), StreamingPipeline(backend)
    first, second, third = drive(3)
    for pipeline in (disturbed, undisturbed):
        pipeline.step(first)
    broken = replace(second.cameras[0], pixels=np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(UserError, match="CAM_FRONT"):
        disturbed.step(replace(second, cameras=(broken, *second.cameras[1:])))
    same_boxes(disturbed.step(third).detections, undisturbed.step(third).detections)
    disturbed.reset(ResetReason.CLOCK_JUMP)
    with pytest.raises(UserError):
        disturbed.step(replace(second, cameras=()))
    later = frame_set(3, size=SIZE)
    assert disturbed.step(later).reset_reason == ResetReason.CLOCK_JUMP


def test_numbers_that_are_not_finite_never_enter_the_memory(backend):
    class Poisoned:
        name, config, image_device = "poisoned", MODEL, torch.device("cpu")
        spoil = False

        def run(self, inputs, memory):
            outputs, memory = backend.run(inputs, memory)
            if self.spoil:
                outputs = outputs._replace(logits=outputs.logits * float("nan"))
            return outputs, memory

    poisoned = Poisoned()
    pipeline, clean = StreamingPipeline(poisoned), StreamingPipeline(backend)
    first, second, third = drive(3)
    for one in (pipeline, clean):
        one.step(first)
    poisoned.spoil = True
    with pytest.raises(UserError, match="not finite"):
        pipeline.step(second)
    poisoned.spoil = False
    same_boxes(pipeline.step(third).detections, clean.step(third).detections)


def test_images_are_prepared_on_the_gpu_that_takes_them(backend, monkeypatch):
    """The backend says where; here the CPU plays the GPU, and boxes stay equal bit by bit."""
    asked = []

    def on_the_cpu(device, *rest):
        asked.append(device)
        return DevicePath(torch.device("cpu"), *rest)

    class OnGpu:
        name, config, run = "on a GPU", MODEL, backend.run
        image_device = torch.device("cuda:1")

    monkeypatch.setattr("streampetr_ros.pipeline.streaming.DevicePath", on_the_cpu)
    gpu, cpu = StreamingPipeline(OnGpu()), StreamingPipeline(backend)
    assert asked == [torch.device("cuda:1")]
    first, second, third = drive(3)
    for one in (first, without(second, "CAM_BACK"), third):
        same_boxes(gpu.step(one).detections, cpu.step(one).detections)


def test_between_memory_writes_the_kept_memory_is_reused(backend):
    """At 10 Hz with weights trained at 2 Hz, skipping sets between writes changes nothing."""
    dense, sparse = StreamingPipeline(backend), StreamingPipeline(backend)
    wrote = []
    for index in range(11):
        one = frame_set(index, 0.1, size=SIZE)
        result = dense.step(one)
        wrote.append(result.wrote_memory)
        if index in (0, 5, 10):
            same_boxes(result.detections, sparse.step(one).detections)
    assert [index for index, value in enumerate(wrote) if value] == [0, 5, 10]


def test_inference_interval_is_asked_before_decoding(backend):
    policy = MemoryPolicyConfig(inference_interval_s=0.2)
    pipeline = StreamingPipeline(backend, PipelineConfig(policy=policy))
    start = drive()[0]
    assert pipeline.is_due(start.stamp_ns)
    pipeline.step(start)
    assert not pipeline.is_due(start.stamp_ns + 100_000_000)
    pipeline.reset()
    assert pipeline.is_due(start.stamp_ns + 100_000_000)


def test_filters_change_while_running(pipeline):
    all_boxes = pipeline.step(drive()[0]).detections
    middle = float(np.median(all_boxes.scores))
    pipeline.filters = FilterConfig(score_thresholds=(middle,))
    result = pipeline.step(drive()[1])
    assert (result.detections.scores >= middle).all()
    assert len(result.detections_model) == 40
    with pytest.raises(ValueError, match="10 classes"):
        pipeline.filters = FilterConfig(score_thresholds=(0.1, 0.2))


def test_memory_that_would_be_dropped_before_it_is_replaced_is_refused(backend, pipeline):
    assert backend.config.training_interval == 0.5
    says = "max_gap_s \\(0.4\\) must be above .* 0.5 s as stored with the weights"
    short = MemoryPolicyConfig(max_gap_s=0.4)
    with pytest.raises(ValueError, match=says):
        StreamingPipeline(backend, PipelineConfig(policy=short))
    before = pipeline.filters
    with pytest.raises(ValueError, match=says):
        pipeline.retune(FilterConfig(), short, ())
    assert pipeline.filters is before
    pipeline.retune(FilterConfig(), replace(short, memory_interval_s=0.1), ())


def test_rates_and_masks_change_while_running(pipeline):
    sets = drive()
    plain = pipeline.step(sets[0])
    whole = tuple(
        CameraMask(camera=name, polygon=((0, 0), (1, 0), (1, 1), (0, 1))) for name, _, _ in CAMERAS
    )
    policy = MemoryPolicyConfig(inference_interval_s=1.0)
    pipeline.retune(FilterConfig(), policy, whole)
    assert not pipeline.is_due(sets[1].stamp_ns)
    blind = pipeline.step(sets[2])
    assert blind.reset_reason is None
    assert not np.array_equal(plain.detections_model.scores, blind.detections_model.scores)
    noise = tuple(replace(frame, pixels=255 - frame.pixels) for frame in sets[3].cameras)
    pipeline.reset()
    first = pipeline.step(sets[3])
    pipeline.reset()
    second = pipeline.step(replace(sets[3], cameras=noise))
    same_boxes(first.detections_model, second.detections_model)


def test_statistics_and_warm_up(pipeline):
    pipeline.warm_up()
    assert pipeline.statistics.steps == 0
    for one in drive(3):
        result = pipeline.step(one)
    assert result.statistics == pipeline.statistics
    assert result.statistics.steps_since_reset == 3
    assert result.statistics.interval == pytest.approx(0.5)


def test_turning_the_world_turns_nothing_relative_to_the_vehicle(backend):
    turned = geometry.transform_from_parts([0, 0, 0], geometry.rotation_about_z(2.0))
    plain, rotated = StreamingPipeline(backend), StreamingPipeline(backend)
    for one in drive(3, pose=driving_pose):
        same_boxes(
            plain.step(one).detections, rotated.step(moved(one, turned)).detections, atol=1e-4
        )


def test_distorted_cameras_are_rectified(pipeline):
    """A lens that pulls the picture in is straightened before the network sees it."""
    one = drive(1)[0]
    front = one.cameras[0]
    bent = replace(
        front.calibration,
        distortion_model="plumb_bob",
        distortion=np.array([-0.3, 0.1, 0.0, 0.0, 0.0]),
    )
    distorted = replace(one, cameras=(replace(front, calibration=bent), *one.cameras[1:]))
    assert pipeline.step(distorted).num_cameras == 6


def test_pictures_prepared_ahead_change_nothing(backend):
    first, second = drive(2)
    nowhere = np.full((4, 4), np.nan)
    wanted, ahead = StreamingPipeline(backend), StreamingPipeline(backend)
    with ThreadPoolExecutor(2) as pool:
        for one in (first, second):
            frames = [replace(frame, fixed_from_base=nowhere) for frame in one.cameras[1:]]
            begun = {
                frame.calibration.name: pool.submit(ahead.prepare_ahead, frame) for frame in frames
            }
            blank = tuple(replace(each, pixels=each.pixels[:0]) for each in one.cameras)
            outline, whole = replace(one, cameras=blank), WholeSet(one, begun)
            same_boxes(
                ahead.step(outline, lambda whole=whole: whole).detections,
                wanted.step(one).detections,
            )
    for each in (wanted, ahead):
        each.close()


def test_a_set_whose_pictures_fail_leaves_no_trace(backend):
    first, second = drive(2)
    disturbed, plain = StreamingPipeline(backend), StreamingPipeline(backend)

    def fail():
        raise OSError("no picture")

    for each in (disturbed, plain):
        each.step(first)
    disturbed.reset()
    with pytest.raises(OSError, match="no picture"):
        disturbed.step(second, fail)
    plain.reset()
    same_boxes(disturbed.step(second).detections, plain.step(second).detections)
    assert disturbed.statistics == plain.statistics
    for each in (disturbed, plain):
        each.close()
