"""Programs that listen to a running vehicle or node."""
