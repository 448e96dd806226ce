"""What can be learned about a convolutional network: its structure, and what it does to an image."""

from explorer.analyze import Analysis, LayerReport, analyze

__all__ = ["Analysis", "LayerReport", "analyze"]
