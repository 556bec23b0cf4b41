"""Pictures of the synthetic world."""
