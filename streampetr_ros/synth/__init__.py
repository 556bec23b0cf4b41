"""A synthetic world with exact truth: `scene` puts world, rig and pictures together."""
