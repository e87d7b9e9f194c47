"""What a fit is for; apart, so that the command line can list it without torch."""

from __future__ import annotations

#: what `objective` of a fit may be, and what it means
OBJECTIVES = {
    "physiology": "the membrane is the one that the recorded voltage shows; everything else is fitted to the spikes",
    "prediction": "every parameter is fitted to the spikes",
}
