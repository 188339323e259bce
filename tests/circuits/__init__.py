"""Tests of what circuits compute."""
