"""Text: opened, read as documents, and packed into sequences of tokens."""
