"""The Occlusion page: a square slid over the picture."""
