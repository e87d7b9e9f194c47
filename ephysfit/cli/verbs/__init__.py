"""One command per file, imported when it is used.

Imports are at the top of a file, except slow ones (numba, matplotlib), so that help and usage errors are immediate.
"""
