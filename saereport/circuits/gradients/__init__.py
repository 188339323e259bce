"""Gradients on prompts, and what they predict asked of the true model."""
