"""crossrank inside other libraries; each adapter maps types, calls the package, and does nothing else."""
