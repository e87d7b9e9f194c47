"""The explorer: an interactive page of recording and model, with sliders for the parameters (`ephysfit.explore`)."""
