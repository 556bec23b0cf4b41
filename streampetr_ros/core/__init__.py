"""What everything stands on: data types, geometry, configuration, files, time and threads."""
