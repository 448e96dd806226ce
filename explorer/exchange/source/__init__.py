"""A traced module → one Python file of readable classes, with torch as all that it needs."""
