"""What can be learned about a convolutional network: its structure, and what it does to an image."""

from explorer.api import (
    Analysis,
    Cancelled,
    Layer,
    LayerGraph,
    LayerReport,
    OcclusionMap,
    OpenedPage,
    ReceptiveField,
    TraceError,
    UnknownNameError,
    UserError,
    Window,
    analyze,
    close,
    deconvnet,
    export,
    feature_maps,
    occlusion_map,
    open,
    register_op,
)

__version__ = "0.2.0"

__all__ = [
    "Analysis",
    "Cancelled",
    "Layer",
    "LayerGraph",
    "LayerReport",
    "OcclusionMap",
    "OpenedPage",
    "ReceptiveField",
    "TraceError",
    "UnknownNameError",
    "UserError",
    "Window",
    "analyze",
    "close",
    "deconvnet",
    "export",
    "feature_maps",
    "occlusion_map",
    "open",
    "register_op",
]
