"""Compare crossrank's engine with other libraries', on the same weights, texts and threads."""
