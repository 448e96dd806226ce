"""Pictures in and out: any bytes to pixels or one clear error, pixels to a network's input, arrays to files."""
