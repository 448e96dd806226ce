"""The building blocks, one file a family of blocks; every block of the registry can be built alone."""
