"""Adapters to other libraries: each maps types, calls the package, and does nothing else."""
