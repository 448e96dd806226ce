"""What can be said of a network and of what it does to a picture: data in, data out, nothing drawn."""
