"""Texts to numbers: tokens, batches, engines, and the two kinds of encoder."""
