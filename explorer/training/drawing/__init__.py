"""The pictures of the training set: how each subject and its surroundings are drawn."""
