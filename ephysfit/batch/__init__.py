"""Fits of many cells: independent tasks, a run folder from which a stopped run resumes, and tables of the results."""
