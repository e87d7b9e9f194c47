"""Engines: many ways to run a declared neuron, one meaning."""
