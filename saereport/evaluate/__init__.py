"""How well SAEs as a whole stand in for the activations of a model."""
