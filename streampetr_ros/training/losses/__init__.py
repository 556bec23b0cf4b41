"""What is learned: heads used in training alone, matching, denoising and losses."""
