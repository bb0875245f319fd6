"""Adapters for other libraries; each one only converts types and calls crossrank."""
