"""A report as an object: rendered, opened, cut, shown in a notebook."""
