"""The command line: one verb a file in `verbs`, each the same call as in Python, shown as a table or as JSON."""

from __future__ import annotations

from ephysfit.cli.app import app, main

__all__ = ["app", "main"]
