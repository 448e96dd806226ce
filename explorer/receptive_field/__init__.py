"""Where each output of a network comes from: the pixels that every layer's units see, followed through the graph."""
