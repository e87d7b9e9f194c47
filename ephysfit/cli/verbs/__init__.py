"""One verb a file. Everything heavy is imported inside the functions, so that ``--help`` answers at once."""
