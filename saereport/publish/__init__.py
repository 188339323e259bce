"""Reports on a web server: checks before publishing, and one index over many reports."""
