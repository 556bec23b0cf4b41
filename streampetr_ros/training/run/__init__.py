"""A training run: put together, stepped, saved, resumed and reported."""
