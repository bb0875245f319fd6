"""Scores to rankings."""
