"""The command line: one verb per module, `cli` puts them together."""
