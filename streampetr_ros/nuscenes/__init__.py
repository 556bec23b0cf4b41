"""The nuScenes data set: its car, its tables, its frames and its result files."""
