"""Networks by name, the text of their knobs, and blocks matched to a budget: where the explorer meets models."""
