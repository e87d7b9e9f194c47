"""Embed a zoomable view in a page: the document of its outline, which is kept on disk, with the numbers of a cell."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import numpy as np

from ephysfit import disk_cache
from ephysfit.neuron.fingerprint import digest
from ephysfit.reports.view_outline import PanelOutline, View

#: what builds documents: kept on disk under a hash of these, and of bokeh's version
BUILDERS = ("reports/bokeh_document.py", "reports/bokeh_panels.py", "reports/figures/style.py",
            "reports/view_outline.py")  # fmt: skip
#: the first bytes of what gzip packed
GZIP = b"\x1f\x8b"


def embed_view(view: View) -> tuple[str, str]:
    """Embed a view in a page as (script, div); nothing is loaded from the network.

    A document that is on disk for this outline is filled; bokeh is only imported to build one that is not.
    """
    kept = _find_document(view.panels)
    text = json.dumps(fill_document(kept["document"], view), separators=(",", ":"), allow_nan=False)
    for character in "<>&":  # none ends the element, or is read as an entity
        text = text.replace(character, f"\\u{ord(character):04x}")
    data = f'<script type="application/json" id="{kept["element"]}">{text}</script>\n'
    return kept["library"] + data + kept["script"], kept["div"]


def fill_document(document: Any, view: View) -> Any:
    """Put the numbers of a view into a document as `bokeh_document.build_document` returns it (which is changed)."""
    for model in _iterate_models(document):
        attributes = model["attributes"]
        name = attributes.get("name")
        if name in view.ranges and model["name"] == "Range1d":
            attributes.update({k: _encode_numbers(v) for k, v in view.ranges[name].items()})
        if name in view.columns and model["name"] == "ColumnDataSource":
            for entry in attributes["data"]["entries"]:
                entry[1] = _encode(entry[1], view.columns[name][entry[0]])
    return document


def _find_document(panels: tuple[PanelOutline, ...]) -> dict[str, Any]:
    outline = json.dumps([asdict(p) for p in panels])
    key = hashlib.sha256(f"{outline} {version('bokeh')} {digest(BUILDERS)}".encode()).hexdigest()[:24]
    known = disk_cache.find_stored(disk_cache.READINGS, f"view_{key}.json")
    if known is not None:
        return dict(json.loads(known))
    # half a second that a view with the outline of an earlier one does not need
    from ephysfit.reports.bokeh_document import build_document

    made = build_document(panels)
    disk_cache.store(disk_cache.READINGS, f"view_{key}.json", json.dumps(made).encode())
    return made


def _iterate_models(node: Any) -> Iterator[dict[str, Any]]:
    """Iterate over all models of a document, at any depth."""
    if isinstance(node, dict):
        if node.get("type") == "object" and "attributes" in node:
            yield node
        for value in node.values():
            yield from _iterate_models(value)
    elif isinstance(node, list):
        for value in node:
            yield from _iterate_models(value)


def _encode(sample: dict[str, Any], values: Any) -> dict[str, Any]:
    """Encode an array of 32-bit floats as bokeh encoded a sample of them: packed, except by old versions."""
    array = np.ascontiguousarray(values, dtype=np.float32)
    packed = base64.b64decode(sample["array"]["data"]).startswith(GZIP)
    data = gzip.compress(array.tobytes(), mtime=1) if packed else array.tobytes()
    text = base64.b64encode(data).decode("ascii")
    return {**sample, "array": {**sample["array"], "data": text}, "shape": [len(array)]}


def _encode_numbers(value: Any) -> Any:
    """Encode numbers as bokeh does where JSON has no word for them."""
    if isinstance(value, tuple | list):
        return [_encode_numbers(v) for v in value]
    number = float(value)
    if math.isnan(number):
        return {"type": "number", "value": "nan"}
    return number if math.isfinite(number) else {"type": "number", "value": "+inf" if number > 0 else "-inf"}
