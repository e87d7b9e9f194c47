"""How parameters are found: stages that compose, run by `fit`."""
