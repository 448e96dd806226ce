"""What units look for in a set of pictures: scans of sets, kept as files, and those that are shipped."""
