"""From a configuration to a run: what is measured, in which order, and what is kept meanwhile."""
