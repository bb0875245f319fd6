"""HTTP: a cross-encoder behind SageMaker's container contract."""
