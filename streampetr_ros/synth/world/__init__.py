"""Who and what is where in the synthetic world, at every instant."""
