"""Running a declared neuron: simulations, gradients, network layers."""
