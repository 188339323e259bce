"""Two runs compared: what was added, removed and changed, and gates on it. No torch."""
