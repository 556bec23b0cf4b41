"""Procedural weights of the golden files, by the documented formula."""

import json
import re
import zlib

import numpy as np
import torch

_GAINS = (
    (r"^img_backbone\.layer\d+\.\d+\.conv3\.weight$", 0.15),
    (r"^img_backbone\..*downsample\.0\.weight$", 1.0),
    (r"^img_backbone\..*ese\.fc\.weight$", 1.0),
    (r"^img_backbone\..*OSA\d_[2-9]_concat/conv\.weight$", 0.4),
    (r"^img_backbone\.", 3.0),
    (r"\.attentions\.\d+\.attn\.in_proj_weight$", 1.8),
    (r"\.attentions\.\d+\.attn\.out_proj\.weight$", 2.0),
    (r"\.position_encoder\.0\.weight$", 0.3),
    (r"\.ego_pose_(pe|memory)\.reduce\.0\.weight$", 0.05),
    (r"\.(memory_embed|query_embedding|featurized_pe|position_encoder)\..*weight$", 2.0),
    (r"\.cls_branches\.\d+\.6\.weight$", 4.0),
    (r"\.reg_branches\.\d+\.4\.weight$", 1.0),
    (r"\.(cls|reg)_branches\.\d+\.\d+\.weight$", 2.0),
)
_UNCENTERED = re.compile(r"^img_backbone\.(conv1|stem\.stem_1/conv)\.")


def _one_dimensional(key, noise):
    last = key.rsplit(".", 1)[-1]
    if last == "running_mean":
        return 0.1 * noise
    if last == "running_var":
        return np.abs(1 + 0.1 * noise)
    if key.endswith("gamma.bias") or last == "weight":
        return 1 + 0.1 * noise
    prior = 2.0 if re.search(r"\.cls_branches\.\d+\.6\.bias$", key) else 0.0
    return 0.02 * noise - prior


def golden_weight(entry):
    """One element of keys.json["entries"] to an array."""
    key, shape = entry["key"], tuple(entry["shape"])
    if entry["dtype"] == "int64":
        return np.zeros(shape, np.int64)
    if "value" in entry:
        return np.asarray(entry["value"], np.float32).reshape(shape)
    canonical = re.sub(r"\.(cls|reg)_branches\.\d+\.", r".\1_branches.0.", key)
    random = np.random.RandomState(zlib.crc32(canonical.encode()))
    if key.endswith("reference_points.weight"):
        return random.random_sample(shape).astype(np.float32)
    noise = random.standard_normal(shape)
    if len(shape) < 2:
        return _one_dimensional(key, noise).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    if fan_in >= 32 and not _UNCENTERED.search(key):
        noise = noise - noise.mean(axis=tuple(range(1, len(shape))), keepdims=True)
    gain = next((g for pattern, g in _GAINS if re.search(pattern, key)), 1.0)
    return (noise * np.sqrt(gain / fan_in)).astype(np.float32)


def golden_state(keys_file, prefix=""):
    """State dict of the entries that start with `prefix`, which is stripped."""
    entries = json.loads(keys_file.read_text())["entries"]
    return {
        entry["key"].removeprefix(prefix): torch.from_numpy(golden_weight(entry))
        for entry in entries
        if entry["key"].startswith(prefix)
    }
