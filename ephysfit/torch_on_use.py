"""torch, imported when it is first used: what fits, scores and reports by numpy and kernels starts a second earlier.

Modules that make tensors only on some of their ways import ``torch`` from here; those that do nothing else import it
plainly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
else:

    class _TorchOnUse:
        def __getattr__(self, name: str) -> Any:
            value = getattr(import_module("torch"), name)
            setattr(self, name, value)
            return value

    torch = _TorchOnUse()

__all__ = ["torch"]
