"""The first stage: from many passages to the few that are worth reranking."""
