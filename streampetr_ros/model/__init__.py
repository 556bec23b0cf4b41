"""The detector in plain PyTorch; read it in the order of a forward pass.

`config` says what a model is (``configs/`` holds those with names), `state` what goes in and comes
out. `detector` puts together: `backbones` and `neck` make features of images, `position` says where
their tokens look, `memory` brings to the present what was seen before, and `head` makes queries
that `attention` decodes; `encoding` holds the codes that they use. `checkpoints` reads and writes
weights; `forms` are the same network cut into graphs, folded, and in half precision.

Shape legend: B batch, N cameras, C channels, H W network image, h w feature map (stride 16),
D depth bins, T image tokens (N * h * w, camera-major, then row, then column), Q learned queries,
P propagated queries, K proposals stored per frame, M memory entries, L decoder layers, G classes.
"""
