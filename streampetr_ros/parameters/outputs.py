"""Parameters of tracking and of what is published beside the boxes."""

from __future__ import annotations

from dataclasses import dataclass

from streampetr_ros.core.parameter import RUN, parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingParameters:
    """Whether and how objects are followed."""

    enabled: bool = parameter(
        True, "Follow objects over time; gives ~/tracks and identities in ~/detections"
    )
    config_file: str = parameter(
        "", "YAML file of tracker settings as for 'streampetr track --config'; empty: defaults"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputParameters:
    """Which topics there are; a message is only made while somebody subscribes to its topic."""

    vision: bool = parameter(
        True, "Offer vision_msgs: ~/vision/detections, ~/vision/tracks and ~/vision/label_info"
    )
    autoware: str = parameter(
        "auto",
        "Offer autoware_perception_msgs: ~/autoware/detections and ~/autoware/tracks; auto: where "
        "that package is installed",
        choices=("auto", "on", "off"),
    )
    markers: bool = parameter(True, "Offer ~/markers and ~/track_markers for viewers")
    overlays: bool = parameter(
        True, "Offer ~/overlays/CAMERA/compressed and ~/top_view/compressed, drawn pictures"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkerParameters:
    """Looks of ~/markers and ~/track_markers."""

    color_by: str = parameter(
        "class", "What the color of a track shows", choices=("class", "track"), changes=RUN
    )
    trail_s: float = parameter(
        4.0,
        "How far trails of tracks reach back, s; 0: no trails",
        between=(0.0, 60.0),
        changes=RUN,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class OverlayParameters:
    """Looks of the drawn pictures."""

    show: str = parameter(
        "tracks",
        "Boxes drawn; without tracking it is always detections",
        choices=("tracks", "detections"),
        changes=RUN,
    )
    width: int = parameter(800, "Width of camera pictures, pixels", between=(64, 4096), changes=RUN)
    top_view_size: int = parameter(
        800, "Width and height of the top view, pixels", between=(64, 4096), changes=RUN
    )
    top_view_reach: float = parameter(
        56.0,
        "Distance from the vehicle to the sides of the top view, m",
        between=(5.0, 500.0),
        changes=RUN,
    )
    jpeg_quality: int = parameter(80, "JPEG quality", between=(1, 100), changes=RUN)
