"""One GPU: its memory, its stream, and work that is recorded once and repeated."""
