"""Amazon SageMaker: the wire format, handlers and packaging for an endpoint, and what calls and deploys it."""
