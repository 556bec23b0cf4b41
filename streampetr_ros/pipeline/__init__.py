"""From frame set to boxes; `streaming` is the whole story."""
