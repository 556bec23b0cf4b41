"""Objects followed over time in the fixed frame: detections in, tracks out."""

from __future__ import annotations

from streampetr_ros.track.config import KindConfig, TrackingConfig
from streampetr_ros.track.tracker import NullTracker, Tracker

__all__ = ["KindConfig", "NullTracker", "Tracker", "TrackingConfig"]
