"""Training: from judged collections to a cross-encoder."""
