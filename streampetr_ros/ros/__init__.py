"""What needs ROS: the node, and the programs around it."""
