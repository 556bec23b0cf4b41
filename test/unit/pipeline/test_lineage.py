"""Identities of queries: what they claim must be what the memory really holds."""

from __future__ import annotations

import numpy as np
import torch
from micro_detector import detector, inputs
from rigs import frame_set

from streampetr_ros.backends.pytorch.torch_backend import TorchBackend
from streampetr_ros.pipeline.decode import continue_lineage, no_lineage
from streampetr_ros.pipeline.memory_policy import MemoryPolicyConfig
from streampetr_ros.pipeline.streaming import PipelineConfig, StreamingPipeline


def test_entries_of_the_memory_are_the_queries_they_are_named_after():
    model = detector(3)
    found, lineage, memory = {}, no_lineage(model.config), None
    for frame in range(6):
        given = inputs(frame)._replace(continues=torch.tensor([float(frame > 0)]))
        still = torch.eye(4)[None]
        given = given._replace(now_from_previous=still, elapsed=torch.full((1,), 0.5))
        with torch.no_grad():
            outputs, memory = model(given, memory)
        ids, lineage = continue_lineage(lineage, outputs, model.config)
        assert len(set(ids.tolist())) == len(ids) == 16
        found |= dict(zip(ids.tolist(), outputs.codes[0, :, :3], strict=True))
        for name, center in list(zip(lineage.entries.tolist(), memory.center[0], strict=True))[:4]:
            assert torch.equal(found[name], center)
        handed_on = lineage.entries[:4]
    assert lineage.entries.all()
    assert (handed_on < 13 + 5 * 12).any(), "some query lives longer than one frame"


def stepped(pipeline, *indices):
    return [pipeline.step(frame_set(index, size=(64, 36))).detections_model for index in indices]


def test_pipeline_names_what_it_detects():
    backend = TorchBackend(detector(3))
    pipeline = StreamingPipeline(backend, PipelineConfig())
    first, second = stepped(pipeline, 0, 1)
    shared = set(first.query_ids.tolist()) & set(second.query_ids.tolist())
    assert 0 < len(shared) <= 4
    saved = pipeline.snapshot()
    (third,) = stepped(pipeline, 2)
    pipeline.restore(saved)
    (again,) = stepped(pipeline, 2)
    assert np.array_equal(third.query_ids, again.query_ids)
    pipeline.reset()
    (fresh,) = stepped(pipeline, 3)
    assert fresh.query_ids.min() > max(d.query_ids.max() for d in (first, second, third))
    pipeline.close()


def test_sets_that_do_not_write_hand_nothing_on():
    policy = MemoryPolicyConfig(memory_interval_s=1.9)
    pipeline = StreamingPipeline(TorchBackend(detector(3)), PipelineConfig(policy=policy))
    first, second, third = stepped(pipeline, 0, 1, 2)
    handed_on = set(first.query_ids.tolist())
    both = set(second.query_ids.tolist()) & set(third.query_ids.tolist())
    assert both
    assert both <= set(range(1, 17))
    assert both & handed_on
    pipeline.close()


def test_models_without_memory_name_nothing():
    pipeline = StreamingPipeline(TorchBackend(detector(3, temporal=False)), PipelineConfig())
    assert stepped(pipeline, 0)[0].query_ids is None
    pipeline.close()
