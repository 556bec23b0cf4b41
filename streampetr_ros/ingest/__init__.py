"""What arrives: images, calibrations and transforms become frame sets."""
