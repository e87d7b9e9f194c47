"""Readers, one per file format, independent of one another."""
