"""What can be learned about a convolutional network: its structure, and what it does to an image."""

from explorer.analysis.structure import Analysis, LayerReport, analyze
from explorer.api import feature_maps, occlusion_map

__version__ = "0.2.0"

__all__ = ["Analysis", "LayerReport", "analyze", "feature_maps", "occlusion_map"]
