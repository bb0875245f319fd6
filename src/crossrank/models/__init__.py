"""Models: find or download a model's files, and check them."""
