"""What runs in PyTorch: transformers' networks, packed without padding where their family can."""
