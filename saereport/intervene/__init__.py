"""Edits of a forward pass."""
