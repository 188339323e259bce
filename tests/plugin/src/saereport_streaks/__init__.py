"""A plug-in of saereport, as another package would write it."""
