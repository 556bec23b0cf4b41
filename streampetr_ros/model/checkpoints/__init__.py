"""Weights on disk: our own files, and strict reading of published ones."""
