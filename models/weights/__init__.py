"""Weights: where they come from, downloads, and files that may be hostile."""
