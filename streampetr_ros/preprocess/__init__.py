"""From decoded images and poses to what the network takes."""
