"""The Deconvnet page: a unit projected back to the pixels that excite it."""
