"""Half precision is where it is meant to be, and nowhere else."""

import micro_detector as micro
import pytest
import torch

from streampetr_ros.backends.exported import EXPORT_PRECISIONS, open_exported
from streampetr_ros.backends.onnx_backend import OnnxBackend
from streampetr_ros.backends.pytorch.torch_backend import TorchBackend
from streampetr_ros.core.errors import UserError
from streampetr_ros.export.parity import LIMITS, compare_backends

onnx = pytest.importorskip("onnx")
from streampetr_ros.export.onnx_export import export_onnx

FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16
SENSITIVE = {
    *("Sin", "Cos", "Log", "Clip", "Div", "Softmax", "Sigmoid", "LayerNormalization"),
    *("TopK", "GatherElements", "Where", "Sub"),
}


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("half") / "micro"
    export_onnx(micro.detector(), folder, precision="fp16")
    return {name: onnx.load(open_exported(folder).path(name)) for name in ("encoder", "head")} | {
        "position": onnx.load(folder / "position.onnx")
    }


def types(model):
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    named = {
        item.name: item.type.tensor_type.elem_type for item in (*graph.value_info, *graph.output)
    }
    return [(node, named.get(node.output[0])) for node in graph.node]


def test_images_are_encoded_in_half_precision(graphs):
    matrix = [kind for node, kind in types(graphs["encoder"]) if node.op_type == "Conv"]
    assert set(matrix) == {HALF}
    casts = [node for node, _ in types(graphs["encoder"]) if node.op_type == "Cast"]
    assert len(casts) == 2, "precision changes at the images and at the features only"


def test_positions_stay_in_full_precision(graphs):
    assert HALF not in {kind for _, kind in types(graphs["position"])}


def test_sensitive_operators_of_the_head_stay_in_full_precision(graphs):
    found = {node.op_type for node, _ in types(graphs["head"])} & SENSITIVE
    assert found >= {"Sin", "Log", "Softmax", "Sigmoid", "LayerNormalization", "TopK"}
    wrong = [
        node.name
        for node, kind in types(graphs["head"])
        if node.op_type in SENSITIVE and kind == HALF
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("scope", "kind"),
    [
        ("/head/decoder/layers.1/cross_attention/", HALF),
        ("/head/decoder/layers.0/self_attention/", HALF),
        ("/head/decoder/layers.1/ffn_in/", HALF),
        ("/head/memory_embed/", HALF),
        ("/head/gate/", HALF),
        ("/head/class_branch/", FLOAT),
        ("/head/box_branch/", FLOAT),
        ("/head/query_embedding/", FLOAT),
        ("/head/motion_content/", FLOAT),
        ("/head/time_embedding/", FLOAT),
        ("/head/MatMul", FLOAT),  # moves the memory to the present
    ],
)
def test_products_of_the_head(graphs, scope, kind):
    found = {
        found
        for node, found in types(graphs["head"])
        if node.op_type in ("MatMul", "Gemm") and node.name.startswith(scope)
    }
    assert found == {kind}


def test_graphs_take_and_give_full_precision(graphs):
    for model in graphs.values():
        for item in (*model.graph.input, *model.graph.output):
            assert item.type.tensor_type.elem_type != HALF


def test_graphs_are_static_and_of_standard_operators(graphs):
    for model in graphs.values():
        assert [(item.domain, item.version) for item in model.opset_import] == [("", 17)]
        assert {node.domain for node in model.graph.node} == {""}
        for item in (*model.graph.input, *model.graph.output):
            assert all(size.dim_value > 0 for size in item.type.tensor_type.shape.dim)


def test_nothing_is_left_that_is_known_beforehand(graphs):
    for model in graphs.values():
        operators = {node.op_type for node in model.graph.node}
        assert not operators & {"Shape", "Constant", "Identity", "IsNaN"}
        for item in model.graph.initializer:
            assert torch.isfinite(torch.tensor(onnx.numpy_helper.to_array(item))).all()


def test_half_precision_follows_within_its_limits_and_is_another_one(tmp_path):
    pytest.importorskip("onnxruntime")
    detector = micro.detector()
    differences = {}
    for precision in EXPORT_PRECISIONS:
        folder = tmp_path / precision
        export_onnx(detector, folder, precision=precision)
        differences[precision] = compare_backends(
            TorchBackend(detector),
            OnnxBackend(open_exported(folder), threads=1),
            precision=precision,
        )
    for name in ("logits", "centers_m"):
        assert differences["fp16"][name] > 10 * differences["fp32"][name]
        assert differences["fp16"][name] < LIMITS["fp16"][name]


def test_weight_beyond_half_precision_is_named(tmp_path):
    detector = micro.detector()
    with torch.no_grad():
        detector.head.memory_embed[0].weight[0, 0] = 1e5
    with pytest.raises(UserError, match=r"weight '.*' has values beyond 65504.*fp32"):
        export_onnx(detector, tmp_path / "micro", precision="fp16")
    assert not list(tmp_path.iterdir())


def test_failed_check_leaves_the_earlier_export(tmp_path):
    folder = tmp_path / "micro"
    first = export_onnx(micro.detector(), folder)

    def check(partial):
        assert open_exported(partial).sha256 != first.sha256
        raise UserError("not equal")

    with pytest.raises(UserError, match="not equal"):
        export_onnx(micro.detector(seed=1), folder, check=check)
    assert open_exported(folder).sha256 == first.sha256
    assert [path.name for path in tmp_path.iterdir()] == ["micro"]


def test_unknown_precision(tmp_path):
    with pytest.raises(UserError, match="'int8'; choose one of fp32, fp16"):
        export_onnx(micro.detector(), tmp_path / "micro", precision="int8")
    assert not list(tmp_path.iterdir())
