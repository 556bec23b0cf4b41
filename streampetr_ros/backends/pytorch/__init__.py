"""PyTorch on CPU or GPU."""
