"""Where one frame was seen from another, at any time that is remembered."""
