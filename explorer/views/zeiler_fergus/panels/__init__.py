"""The panels, one file each; what defines `PANEL` is found by itself."""
