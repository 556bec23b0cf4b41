"""A recording or the synthetic world as live topics."""
