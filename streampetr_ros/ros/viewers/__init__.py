"""Stored windows of RViz, fitted to the cameras of a vehicle."""
