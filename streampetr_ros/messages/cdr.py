"""Messages made and serialised without ROS, for bags."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
from rosbags.interfaces import (
    Nodetype,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

_FOREVER = QosTime(sec=9223372036, nsec=854775807)
#: Defaults of the definitions that the typestore leaves out.
_OTHER_DEFAULTS = {"geometry_msgs/msg/Quaternion": {"w": 1.0}}


@cache
def typestore() -> Typestore:
    """Return the definitions of the standard messages, which all releases of ROS 2 share."""
    return get_typestore(Stores.ROS2_HUMBLE)


def types(kind: str) -> Callable[..., Any]:
    """Return what builds messages of a type; see `standard.Types`.

    Their defaults are shared, so nothing may change them.
    """
    return partial(_message, kind)


def _message(kind: str, **fields: Any) -> Any:
    given = {
        name: np.asarray(value) if isinstance(value, array) else value
        for name, value in fields.items()
    }
    return typestore().types[kind](**{**_defaults(kind), **given})


def serialise(message: Any) -> bytes:
    """Return a message's bytes, CDR as in bags and on the wire."""
    return bytes(typestore().serialize_cdr(message, message.__msgtype__))


def recorded_qos(depth: int, reliability: QosReliability, durability: QosDurability) -> Qos:
    """Return an offer of a publisher as bags note it; all else one may offer is not limited."""
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        reliability,
        durability,
        _FOREVER,
        _FOREVER,
        QosLiveliness.AUTOMATIC,
        _FOREVER,
        False,
    )


@cache
def _defaults(kind: str) -> dict[str, Any]:
    fields = typestore().fielddefs[kind][1]
    return {name: _default(*form) for name, form in fields} | _OTHER_DEFAULTS.get(kind, {})


def _default(node: Nodetype, form: Any) -> Any:
    """Return the value of a field that nobody gave; arrays of messages are not among them."""
    if node is Nodetype.NAME:
        return _message(form)
    if node is Nodetype.BASE:
        return "" if form[0] == "string" else 0
    (inner, inner_form), count = form
    if inner is Nodetype.BASE and inner_form[0] != "string":
        return np.zeros(count if node is Nodetype.ARRAY else 0, dtype=inner_form[0])
    return []
