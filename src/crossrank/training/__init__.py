"""Judged data in, a cross-encoder's folder out."""
