"""Engines: many ways to run a declared neuron, all with the same result."""
