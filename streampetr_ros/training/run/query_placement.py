"""Starts the learned reference points where objects are.

The published model draws them uniformly in the detection range and leaves the rest to training. A
query sees what is around its reference point, and objects stand along streets: cluster centers of
the truth leave less to be learned. Distances are drawn in to their square root before clustering,
so that queries stand closer together where places can be told apart better.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.cluster.vq import kmeans2
from torch import Tensor

from streampetr_ros.core.errors import UserError
from streampetr_ros.model.detector import Detector
from streampetr_ros.training.data.targets import Targets

_NEAREST = 1.0


@torch.no_grad()
def place_queries(detector: Detector, truth: Sequence[Targets], seed: int) -> None:
    """Set the reference points of the learned queries to cluster centers of object centers.

    Args:
        detector: changed in place.
        truth: of augmented samples.
        seed: of the clustering.

    Raises:
        UserError: if there are fewer objects than queries.
    """
    config = detector.config
    low, high = torch.tensor(config.detection_range).chunk(2)
    centers = torch.cat([target.codes[:, :3] for target in truth]).cpu()
    centers = centers[((centers > low) & (centers < high)).all(dim=1)]
    if len(centers) < config.num_queries:
        raise UserError(
            f"{len(centers)} objects cannot place {config.num_queries} queries; set placed_queries "
            "to false or raise attention_warm_up.batches"
        )
    drawn_in = centers / _root_of_distance(centers)
    found, _ = kmeans2(drawn_in.double().numpy(), config.num_queries, minit="++", seed=seed)
    clusters = torch.from_numpy(found).float()
    clusters = clusters * clusters[:, :2].norm(dim=1, keepdim=True).clamp(min=_NEAREST**0.5)
    points = ((clusters - low) / (high - low)).clamp(0, 1)
    detector.head.reference_points.copy_(points)


def _root_of_distance(centers: Tensor) -> Tensor:
    """Return the (n, 1) square root of the distance along the ground, of at least a metre."""
    distances: Tensor = centers[:, :2].norm(dim=1, keepdim=True)
    return distances.clamp(min=_NEAREST).sqrt()
