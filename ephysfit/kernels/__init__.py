"""Kernels: a symbolic step becomes machine code, kept on disk."""
