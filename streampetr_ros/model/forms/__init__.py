"""The same detector cut into graphs, in half precision, and with norms folded in."""
