"""HTTP: a cross-encoder behind the wire formats that clients of rerankers speak, today SageMaker's."""
