"""Result files and metrics; offline."""
