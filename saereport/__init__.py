"""saereport: static reports of sparse autoencoders of language models."""
