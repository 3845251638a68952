"""Talonic's contract: documents come in, and batches form by themselves."""
