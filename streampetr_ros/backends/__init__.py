"""What runs a detector: each runtime behind `base.Backend`, chosen in `opening`."""
