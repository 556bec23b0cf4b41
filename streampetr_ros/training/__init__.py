"""Losses, data and the training loop; offline, never imported by the detector at run time."""
