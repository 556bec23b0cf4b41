"""Whether the weights that a node is to run are there, whole, and fit."""
