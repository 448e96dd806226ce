"""A traced program on real tensors: the executor with its rules, the order of work, cancelling, and devices."""
