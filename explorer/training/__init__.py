"""Training of the compact networks on a procedural picture set, and the contest among them."""
