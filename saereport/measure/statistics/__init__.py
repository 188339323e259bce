"""Accumulators of events: each updated by batches, merged exactly, and read at the end."""
