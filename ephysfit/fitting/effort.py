"""How much a fit takes for a better prediction; apart, so that the command line can list it without torch."""

from __future__ import annotations

#: what `effort` of a fit may be, and what it means
EFFORTS = {"fast": "one fit", "best": "an ensemble of fits with residual networks"}
