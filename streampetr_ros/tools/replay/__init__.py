"""Sources through the pipeline into a folder of results, continued where they ended."""
