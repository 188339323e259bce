"""Exact attribution with attention patterns and norm scales held fixed."""
