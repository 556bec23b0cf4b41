"""Publishers of results."""
