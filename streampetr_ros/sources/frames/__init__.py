"""Recorded frames on disk: folders with a ``frame.json`` and images."""
