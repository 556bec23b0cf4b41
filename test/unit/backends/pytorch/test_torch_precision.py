"""PyTorch in half precision: near float32, half where it is meant to be, and nowhere else."""

import micro_detector as micro
import numpy as np
import pytest
import torch
from drives import drive

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.opening import Choice, open_backend
from streampetr_ros.backends.pytorch.torch_backend import DTYPES, TorchBackend, prepared
from streampetr_ros.core.errors import UserError
from streampetr_ros.export.parity import compare_backends
from streampetr_ros.model.attention import MultiHeadAttention
from streampetr_ros.pipeline.decode import decode

onnx = pytest.importorskip("onnx")
from streampetr_ros.export.onnx_export import export_onnx

HALVES = ("bf16", "fp16")
#: Largest differences of logits and of centers in metres: fp16 has 11 bits, bf16 has 8.
LIMITS = {"fp16": (2e-2, 0.1), "bf16": (0.15, 0.8)}


@pytest.mark.parametrize("precision", HALVES)
def test_half_precision_follows_float32_over_a_reset(precision):
    detector = micro.detector()
    reference, subject = TorchBackend(detector), TorchBackend(detector, precision=precision)
    logits, centers_m = LIMITS[precision]
    memory = None
    differences = []
    for frame in drive():
        outputs, stored = subject.run(frame, memory)
        expected, memory = reference.run(frame, memory)
        assert {value.dtype for value in (*outputs, *stored)} == {torch.float32}
        differences.append(float((outputs.logits - expected.logits).abs().max()))
        assert differences[-1] < logits
        assert (outputs.codes - expected.codes)[..., :3].abs().max() < centers_m
    assert max(differences) > 1e-6, "this is another precision"


@pytest.mark.parametrize("precision", HALVES)
def test_boxes_are_near_on_memories_of_their_own(precision):
    detector = micro.detector()
    backends = [TorchBackend(detector, precision=each) for each in ("fp32", precision)]
    memories = [None, None]
    for frame in drive():
        found = []
        for index, backend in enumerate(backends):
            outputs, memories[index] = backend.run(frame, memories[index])
            found.append(decode(outputs, detector.config, 0))
        exact, half = found
        assert abs(exact.scores[:5] - half.scores[:5]).max() < 0.02
        offsets = half.boxes.centers[:5, None] - exact.boxes.centers[None]
        assert np.linalg.norm(offsets, axis=-1).min(axis=1).max() < 1.0


def test_fp16_keeps_the_limits_of_exported_graphs():
    detector = micro.detector()
    compare_backends(
        TorchBackend(detector), TorchBackend(detector, precision="fp16"), precision="fp16"
    )


def kinds_of_work(detector, precision):
    """Run a frame and return the type that every layer with weights got its input in."""
    copy = prepared(detector, torch.device("cpu"), precision)
    seen = {}

    def note(name):
        return lambda _, values: seen.update({name: values[0].dtype})

    for name, module in copy.named_modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d | MultiHeadAttention):
            # Casts are no part of the names.
            module.register_forward_pre_hook(note(name.replace(".module", "")))
        if isinstance(module, torch.nn.LayerNorm):
            module.register_forward_pre_hook(note(name))
    with torch.inference_mode():
        copy(micro.inputs(0), None)
    return seen


@pytest.fixture(scope="module")
def half_graphs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("half") / "micro"
    export_onnx(micro.detector(temporal=True), folder, precision="fp16")
    return folder


def layer_of(node):
    """Return the path of the module that a node was traced from."""
    *parts, _ = node.name.strip("/").split("/")
    pairs = zip(parts, [*parts[1:], ""], strict=True)
    # Entries of sequences are named after them: memory_embed/memory_embed.0.
    return ".".join(part for part, after in pairs if not after.startswith(f"{part}."))


def test_the_same_layers_are_half_as_in_exported_graphs(half_graphs):
    exported = {}
    for name in ("encoder", "head"):
        graph = onnx.load(half_graphs / f"{name}.onnx")
        graph = onnx.shape_inference.infer_shapes(graph).graph
        types = {item.name: item.type.tensor_type.elem_type for item in graph.value_info}
        for node in graph.node:
            if node.op_type in ("Conv", "MatMul", "Gemm") and node.output[0] in types:
                exported[layer_of(node)] = types[node.output[0]] == onnx.TensorProto.FLOAT16
    ours = kinds_of_work(micro.detector(temporal=True), "fp16")
    shared = ours.keys() & exported.keys()
    assert {"head.gate.expand", "head.box_branch.0", "neck.smooth", "backbone.conv1"} <= shared
    assert "head.decoder.layers.0.cross_attention" in shared
    assert {name: ours[name] == torch.float16 for name in shared} == {
        name: exported[name] for name in shared
    }
    assert sum(exported[name] for name in shared) > len(shared) // 2


def test_what_is_sensitive_stays_float32():
    seen = kinds_of_work(micro.detector(temporal=True), "bf16")
    norms = [name for name in seen if "norm" in name or name.endswith("time_embedding.1")]
    assert len(norms) > 5
    for name in (*norms, "head.time_embedding.0", "head.query_embedding.0", "position.encoder.0"):
        assert seen[name] == torch.float32, name
    assert seen["head.decoder.layers.1.ffn_out"] == torch.bfloat16


def test_the_detector_given_stays_float32():
    detector = micro.detector()
    TorchBackend(detector, precision="fp16")
    assert {value.dtype for value in detector.parameters()} == {torch.float32}


def test_the_name_tells_the_precision():
    for precision in DTYPES:
        name = TorchBackend(micro.detector(), precision=precision).name
        assert f" {precision} on cpu" in name
    assert " fp32 on cpu" in open_backend("random:0", "tiny").name
    assert " bf16 on cpu" in open_backend("random:0", "tiny", Choice(precision="bf16")).name


def test_unknown_precision():
    with pytest.raises(BackendError, match=r"no precision 'int8'; choose one of auto, fp32, bf16"):
        open_backend("random:0", "tiny", Choice(precision="int8"))
    with pytest.raises(BackendError, match="no precision 'auto'"):
        TorchBackend(micro.detector(), precision="auto")


def test_weight_beyond_half_precision_is_named():
    detector = micro.detector()
    with torch.no_grad():
        detector.neck.smooth.bias[0] = 1e6
    with pytest.raises(UserError, match=r"'smooth\.bias'.*beyond 65504.*fp32 or bf16"):
        TorchBackend(detector, precision="fp16")
    TorchBackend(detector, precision="bf16")


def test_gpu_without_bfloat16(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Old One")
    with pytest.raises(BackendError, match=r"cuda:0 \(Old One\) has no bfloat16; choose prec"):
        prepared(micro.detector(), torch.device("cuda:0"), "bf16")


def test_graphs_run_in_what_they_were_exported_in(half_graphs):
    pytest.importorskip("onnxruntime")
    weights = str(half_graphs)
    assert " fp16 on cpu" in open_backend(weights, choice=Choice(precision="fp16")).name
    assert " fp16 on cpu" in open_backend(weights).name
    for precision in ("fp32", "bf16"):
        with pytest.raises(BackendError, match=f"holds fp16 graphs.*run in {precision}"):
            open_backend(weights, choice=Choice(precision=precision))


def test_a_stand_in_has_no_precision():
    with pytest.raises(BackendError, match="choose precision auto"):
        open_backend("stand_in:1", "tiny", Choice(precision="fp16"))
