"""Recordings: reading, checking and preparing the sweeps of one cell."""
