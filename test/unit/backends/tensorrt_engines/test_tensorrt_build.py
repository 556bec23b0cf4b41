"""Real engines from every graph, for three generations of GPUs, on a machine without one."""

import sys

import micro_detector as micro
import pytest
from engine_log import CAPABILITIES, Story, built_engines, engines

from streampetr_ros.backends.base import BackendError
from streampetr_ros.backends.exported import EXPORT_PRECISIONS, open_exported
from streampetr_ros.backends.tensorrt.api import load_tensorrt
from streampetr_ros.backends.tensorrt.build import check_graph_file
from streampetr_ros.export.onnx_export import export_onnx
from streampetr_ros.model.config import detector_config
from streampetr_ros.model.detector import build_detector

pytest.importorskip("tensorrt_rtx")
onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def runtime():
    return load_tensorrt("tensorrt_rtx")


@pytest.fixture
def model(tmp_path):
    export_onnx(micro.detector(), tmp_path / "micro")
    return open_exported(tmp_path / "micro")


@pytest.mark.parametrize("precision", EXPORT_PRECISIONS)
def test_graphs_of_tiny_become_engines(tmp_path, precision, log_engines):
    export_onnx(build_detector(detector_config("tiny")), tmp_path / "tiny", precision=precision)
    tiny = open_exported(tmp_path / "tiny")
    names = set()
    for files in built_engines(f"tiny {precision}", tiny, CAPABILITIES, log_engines):
        assert all(path.stat().st_size > 100_000 for path in files.values())
        names |= {path.name for path in files.values()}
    assert len(names) == 3 * len(CAPABILITIES)


def test_engines_are_built_once_and_again_when_damaged(runtime, model):
    first, second, third = Story(), Story(), Story()
    files = engines(runtime, model, "8.9", first).build()
    assert first.built() == 3
    assert any("head: " in line and "/" in line for line in first), "no progress of the build"
    engines(runtime, model, "8.9", second).build()
    assert second == []
    whole = files["position"].read_bytes()
    files["position"].write_bytes(whole[:-100])
    engines(runtime, model, "8.9", third).build()
    assert third.built() == 1
    assert "truncated" in third[0]
    assert len(files["position"].read_bytes()) == len(whole)


def test_unknown_gpu_is_named_with_the_known_ones(runtime, model):
    with pytest.raises(BackendError, match=r"capability 9\.0.*8\.6, 8\.9, 12\.0"):
        engines(runtime, model, "9.0", Story()).build()


def graph_file(path, opset=17, operator="Relu", domain=""):
    helper = onnx.helper
    x, y = (helper.make_tensor_value_info(name, 1, [1, 3]) for name in "xy")
    node = helper.make_node(operator, ["x"], ["y"], name="the_node", domain=domain)
    opsets = [helper.make_opsetid(name, opset) for name in {"", domain}]
    graph = helper.make_graph([node], "graph", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no valid ONNX graph"),
        (b"not a graph " * 50, "is no valid ONNX graph"),
        ({"opset": 99}, "uses opset 99"),
        ({"opset": 9}, "uses opset 9 "),
        ({"opset": 99, "operator": "Frobnicate"}, "uses opset 99"),
        ({"operator": "Frobnicate"}, "Frobnicate"),
        ({"operator": "Mine", "domain": "mine"}, "of 'mine'"),
    ],
)
def test_files_that_are_no_usable_graph(tmp_path, content, message):
    path = tmp_path / "head.onnx"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        graph_file(path, **content)
    with pytest.raises(BackendError, match=message) as caught:
        check_graph_file(path)
    assert str(path) in str(caught.value)


def test_truncated_graph(model):
    path = model.path("head")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BackendError, match="is no valid ONNX graph"):
        check_graph_file(path)


def test_operator_that_the_runtime_lacks(runtime, model):
    graph_file(model.path("encoder"), operator="Det")
    with pytest.raises(BackendError, match=r"tensorrt_rtx 1.*operator Det .*the_node"):
        engines(runtime, model, "8.9", Story()).build()


def test_graph_of_something_else(runtime, model):
    graph_file(model.path("encoder"))
    with pytest.raises(BackendError, match=r"not the encoder of micro.*\['y'\]"):
        engines(runtime, model, "8.9", Story()).build()


def test_missing_runtime_is_one_line_with_a_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(BackendError, match=r"'tensorrt' is not installed; .*pip install tensorrt"):
        load_tensorrt("tensorrt")


def test_folder_of_the_name_is_no_runtime(monkeypatch, tmp_path):
    (tmp_path / "tensorrt").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(BackendError, match=r"'tensorrt' is not installed; .*pip install tensorrt"):
        load_tensorrt("tensorrt")


def test_runtime_that_does_not_load_is_told_from_a_missing_one(monkeypatch, tmp_path):
    package = tmp_path / "tensorrt"
    package.mkdir()
    reason = "libnvinfer.so.10: cannot open shared object file"
    (package / "__init__.py").write_text(f"raise ImportError('{reason}')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(BackendError, match=rf"does not load \({reason}\); .*pip install tensorrt"):
        load_tensorrt("tensorrt")
