"""Whole networks that several families share: stacks of convolutions, and residual stages."""
