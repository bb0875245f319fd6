"""Amazon SageMaker: the wire format, handlers and packaging of an endpoint; what calls and deploys it."""
