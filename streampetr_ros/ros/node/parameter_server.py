"""Declare the parameter tree on a node, read it once, and judge every later change."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from streampetr_ros.core.config import ConfigError
from streampetr_ros.core.parameter import CONFIGURE, START, Value
from streampetr_ros.parameters.node import NodeParameters, is_of_ros
from streampetr_ros.parameters.tree import (
    Leaf,
    build,
    change_text,
    constraint_text,
    fitting,
    leaves,
    unknown_name_text,
)


class ParameterServer:
    """The node's parameters: declared once, read as one typed tree.

    Wrong values in a parameter file do not stop the node: they are remembered and `read` refuses
    until they are corrected.

    Args:
        node: owner of the parameters.
        is_configured: whether parameters that belong to the configuration are in use.
        apply: called with the new tree after a change at run time was found valid; may refuse
            with a ValueError.
    """

    def __init__(
        self,
        node: Node,
        is_configured: Callable[[], bool],
        apply: Callable[[NodeParameters], None],
    ) -> None:
        self._node = node
        self._is_configured = is_configured
        self._apply = apply
        self._leaves = {leaf.name: leaf for leaf in leaves(NodeParameters)}
        self._faults: dict[str, str] = {}
        # rclpy offers overrides of undeclared parameters nowhere else.
        overrides: Mapping[str, Parameter] = getattr(node, "_parameter_overrides", {})
        for leaf in self._leaves.values():
            self._declare(leaf, overrides.get(leaf.name))
        for name in overrides:
            if name not in self._leaves and not is_of_ros(name):
                self._faults[name] = unknown_name_text(name, self._leaves)
        node.add_on_set_parameters_callback(self._judge)

    def read(self) -> NodeParameters:
        """Return the present values as one tree.

        Raises:
            ConfigError: naming the first wrong or unknown parameter and the remedy.
        """
        if self._faults:
            raise ConfigError("; ".join(self._faults.values()))
        return build(NodeParameters, self._values())

    def _values(self) -> dict[str, object]:
        return {name: self._node.get_parameter(name).value for name in self._leaves}

    def _declare(self, leaf: Leaf, override: Parameter | None) -> None:
        """Declare one parameter; an override that does not fit gives way to the default."""
        value: Value = leaf.default
        if override is not None:
            try:
                value = fitting(leaf, override.value)
            except ConfigError as error:
                self._faults[leaf.name] = str(error)
        described = descriptor(leaf)
        self._node.declare_parameter(leaf.name, _stored(value), described, ignore_override=True)

    def _judge(self, changed: list[Parameter]) -> SetParametersResult:
        """Accept or refuse a change, all parameters of one request together."""
        known = [parameter for parameter in changed if parameter.name in self._leaves]
        if not known:
            return SetParametersResult(successful=True)
        try:
            self._accept(known)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        for parameter in known:
            self._faults.pop(parameter.name, None)
        return SetParametersResult(successful=True)

    def _accept(self, changed: list[Parameter]) -> None:
        """Refuse a change that may not or cannot be made."""
        values = self._values()
        for parameter in changed:
            leaf = self._leaves[parameter.name]
            if leaf.rule.changes == CONFIGURE and self._is_configured():
                raise ConfigError(
                    f"parameter '{leaf.name}' is in use; deactivate and clean up the node to "
                    "change it"
                )
            values[parameter.name] = fitting(leaf, parameter.value)
        # While unconfigured, parameters that must fit together may change one after the other.
        if self._is_configured():
            self._apply(build(NodeParameters, values))


def descriptor(leaf: Leaf) -> ParameterDescriptor:
    """Describe a parameter to tools such as ``ros2 param describe``."""
    rule = leaf.rule
    described = ParameterDescriptor(
        name=leaf.name,
        type=Parameter.Type.from_parameter_value(_stored(leaf.default)).value,
        description=rule.description,
        additional_constraints="; ".join(
            text for text in (constraint_text(rule), change_text(rule)) if text
        ),
        read_only=rule.changes == START,
    )
    if rule.low is not None and rule.high is not None:
        if leaf.kind is float:
            described.floating_point_range = [
                FloatingPointRange(from_value=float(rule.low), to_value=float(rule.high))
            ]
        elif leaf.kind is int:
            described.integer_range = [
                IntegerRange(from_value=int(rule.low), to_value=int(rule.high), step=1)
            ]
    return described


def _stored(value: Value) -> object:
    """Return a value as rclpy takes it."""
    return list(value) if isinstance(value, tuple) else value
