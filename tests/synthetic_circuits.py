"""Synthetic prompts, gradients and attributions for runs of `tests.synthetic`."""
