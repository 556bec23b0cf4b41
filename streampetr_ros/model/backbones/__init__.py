"""Image backbones, one per file: a new one is registered here, and tests and runtimes know it."""

from collections.abc import Callable, Mapping

from streampetr_ros.model.backbones.base import Backbone
from streampetr_ros.model.backbones.resnet import resnet50, resnet_tiny
from streampetr_ros.model.backbones.vovnet import VoVNet

#: What builds each backbone, by the name that configurations give it.
BACKBONES: Mapping[str, Callable[[], Backbone]] = {
    "resnet50": resnet50,
    "resnet_tiny": resnet_tiny,
    "vovnet99": VoVNet,
}
