"""Names of the topics that carry pictures with boxes drawn on them."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: The scene from above; `~` stands for the name of the node.
TOP_VIEW_TOPIC = "~/top_view/compressed"


def overlay_topics(cameras: Sequence[str]) -> dict[str, str]:
    """Return the topic of each camera; what a ROS name may not contain becomes an underscore."""
    topics: dict[str, str] = {}
    for camera in cameras:
        token = re.sub(r"\W", "_", camera, flags=re.ASCII).strip("_") or "camera"
        token = f"camera_{token}" if token[0].isdigit() else token
        while f"~/overlays/{token}/compressed" in topics.values():
            token += "_2"
        topics[camera] = f"~/overlays/{token}/compressed"
    return topics
