"""Tests of edits of a forward pass."""
