"""The language a neuron is declared in, and the ways a declaration is read."""
