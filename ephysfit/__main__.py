"""``python -m ephysfit``, the same as the command `ephysfit`."""

from ephysfit.cli import main

main()
