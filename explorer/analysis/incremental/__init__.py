"""Exact incremental passes: of an image that changed in a square, only what the square can reach is computed anew."""
