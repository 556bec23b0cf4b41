"""Detectors as ONNX graphs, and the proof that they are still the same."""
