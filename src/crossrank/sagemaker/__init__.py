"""Amazon SageMaker: handlers and packaging for an endpoint, a client, and deployment."""
