"""The Blocks page: two to four building blocks side by side."""
