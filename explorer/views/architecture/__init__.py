"""The Architecture page: knobs, figures, layer graph, receptive fields and the receipt."""
