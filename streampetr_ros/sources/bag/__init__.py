"""Recordings of ROS 2 read and written without ROS."""
