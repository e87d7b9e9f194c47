"""Readers: one file format each, strangers to one another."""
