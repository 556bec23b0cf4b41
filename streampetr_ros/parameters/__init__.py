"""What users may set: one tree of the configurations of the core, its checks and files; no ROS."""
