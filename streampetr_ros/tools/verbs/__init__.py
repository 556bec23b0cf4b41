"""The verbs of the command line, one per file: options and sentences only."""
