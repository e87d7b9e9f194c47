"""The interactive page: recording and model side by side, parameters on sliders. `ephysfit.explore` opens it."""
