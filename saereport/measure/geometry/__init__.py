"""The geometry of whole dictionaries: clusters of directions, and dictionaries against each other.

Pure functions: tensors of directions in, numbers out. Directions are rows of length one; a latent
whose row has no length, or is not finite, points nowhere and takes part in nothing.
"""
