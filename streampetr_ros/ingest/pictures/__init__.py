"""Image bytes to pixels: raw encodings, JPEG and PNG, smaller and undistorted pictures."""
