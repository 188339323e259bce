"""What the Circuits part of a report says: prompts, what was found on them, attribution graphs."""
