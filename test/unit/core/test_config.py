"""YAML loader."""

from dataclasses import dataclass, field

import pytest

from streampetr_ros.core.config import ConfigError, dump_config, from_mapping, load_config
from streampetr_ros.core.reading import FileError


@dataclass(frozen=True, kw_only=True)
class Inner:
    rate: float = 1.0
    sizes: tuple[int, ...] = ()
    pair: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    path: str | None = None
    on: bool = False

    def __post_init__(self):
        if self.name == "bad":
            raise ValueError("name must not be bad")


def test_round_trip(tmp_path):
    config = from_mapping(Outer, {"name": "x", "inner": {"rate": 2, "sizes": [1, 2]}})
    assert config.inner == Inner(rate=2.0, sizes=(1, 2))
    dump_config(config, tmp_path / "c.yaml")
    assert load_config(tmp_path / "c.yaml", Outer) == config


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"nam": "x"}, "did you mean 'name'"),
        ({"name": "x", "inner": {"rat": 1}}, "inner: unknown key 'rat'; did you mean 'rate'"),
        ({"name": 3}, "name: expected str, got 3"),
        ({"name": "x", "on": 1}, "expected bool"),
        ({"name": "x", "inner": {"rate": True}}, "expected float"),
        ({"name": "x", "inner": {"pair": [1]}}, "expected 2 values"),
        ({"name": "x", "inner": 3}, "expected a mapping"),
        ({}, "missing 'name'"),
        ({"name": "bad"}, "name must not be bad"),
    ],
)
def test_refuses(content, message):
    with pytest.raises(ConfigError, match=message.replace("(", "\\(")):
        from_mapping(Outer, content)


def test_missing_file(tmp_path):
    with pytest.raises(FileError, match="No such file"):
        load_config(tmp_path / "none.yaml", Outer)
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(FileError, match="not valid YAML"):
        load_config(tmp_path / "broken.yaml", Outer)
