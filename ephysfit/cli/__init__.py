"""The command line: one command per file in `verbs`, each the counterpart of a Python call."""

from __future__ import annotations

from ephysfit.cli.app import app, main

__all__ = ["app", "main"]
