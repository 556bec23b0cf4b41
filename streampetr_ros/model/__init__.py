"""The detector in plain PyTorch, in the order of a forward pass.

Shape legend: B batch, N cameras, C channels, H W network image, h w feature map (stride 16),
D depth bins, T image tokens (N * h * w, camera-major, then row, then column), Q learned queries,
P propagated queries, K proposals stored per frame, M memory entries, L decoder layers, G classes.
"""
