"""Amazon SageMaker: handlers and packaging of an endpoint; what calls and deploys it."""
