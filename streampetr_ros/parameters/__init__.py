"""What users may set, and the configurations of the core that it becomes; no ROS."""
