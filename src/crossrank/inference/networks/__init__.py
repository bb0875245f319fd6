"""transformers' networks, run on inputs that lie end to end: what the PyTorch engine computes."""
