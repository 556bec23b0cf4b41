"""What keeps a recording or a running vehicle from being used, in words."""
