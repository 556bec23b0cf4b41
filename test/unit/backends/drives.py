"""The drive that every backend runs: a reset, a lost camera, and projections that stay."""

import micro_detector as micro
import torch

FRAMES = 9


def drive():
    frames = [micro.inputs(seed) for seed in range(FRAMES)]
    frames[4] = frames[4]._replace(continues=torch.zeros(1))
    present = torch.tensor([[True, False, True, True, True, True]])
    frames[6] = frames[6]._replace(camera_present=present)
    # The projections of the frame before: position codes may be reused here and nowhere else.
    frames[8] = frames[8]._replace(
        model_from_image=frames[7].model_from_image, focal_lengths=frames[7].focal_lengths
    )
    return frames
