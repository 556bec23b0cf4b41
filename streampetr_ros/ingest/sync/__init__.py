"""Images of several cameras grouped into frame sets, by stamp."""
