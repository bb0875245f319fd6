"""How time and memory grow with candidates, tokens, passages and processes."""
