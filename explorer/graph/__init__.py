"""The traced program of a network and its layer graph: operations, shapes, windows and multiply-accumulates."""
