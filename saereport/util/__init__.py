"""What every room uses: errors, progress, visible text, files, and reading what is untrusted."""
