"""Image backbones, one per file."""
