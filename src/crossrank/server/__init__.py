"""HTTP: a cross-encoder behind the wire formats that clients of rerankers speak, each a file in ``wire/``."""
