"""crossrank's engine beside its peers', on the same weights, texts and threads."""
