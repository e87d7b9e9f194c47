"""Recordings: what a file holds, checked and in one shape."""
