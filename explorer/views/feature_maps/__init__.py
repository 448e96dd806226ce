"""The Feature maps page: any layer's maps of the picture."""
