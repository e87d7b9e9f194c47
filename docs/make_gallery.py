"""Make docs/gallery.md and its pictures, every kind of figure: ``python docs/make_gallery.py``.

The noise figures are of the default AIGIF fit of DRN164 (data/), those of steps of an AdLIF fit of 18713001. A test
fails when the page lacks a kind.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

import ephysfit as ef
from ephysfit.reports.evidence import Evidence, gather_evidence
from ephysfit.reports.figures.single import KINDS, draw_figure
from ephysfit.reports.figures.style import NAMES

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "data"
PICTURES = HERE / "pictures" / "gallery"
PAGE = HERE / "gallery.md"
#: kinds that need several stimuli or steps
OF_STEPS = ("stimuli", "f-i", "steps", "traces", "spikes")
#: pixels per inch, and shades of each colour of the figures towards white: a small palette keeps pictures below 60 kB
DPI, SHADES = 75, 20
#: paler shades would be taken for the white of the page
PALEST = 240
HEAD = """# Gallery

Every kind of figure, each drawn by one line. In Python `fit.plot(KIND, test)` or `ef.plot(fit, KIND, test)` returns a
matplotlib figure; `path="figure.pdf"` writes it too. In the shell:

```sh
ephysfit plot fit_DRN164_AIGIF data/DRN164.nwb --kind raster --from 1000-3000 -o figure_2a.pdf
```

The cell is DRN164 with its default AIGIF fit, on noise that the fit has not seen; figures of steps are of 18713001 with
AdLIF. Both recordings are shipped in `data/`, and `python docs/make_gallery.py` makes this page again.
"""
TAIL = """## Of a recording

`recording.plot()` or `ephysfit inspect FILE`: every sweep with its current, voltage, spikes and their shapes.

![Sweeps of the recording 18713001](pictures/gallery/sweeps.png)

## Pages

`ef.report(fit, test, "cell.html")` and `ephysfit report` write one page with all of it
([picture](pictures/report.png)); `ef.explore(...)` and `ephysfit explore` open the interactive page
([guide](howto/explore.md)).
"""


def write_page() -> str:
    """The text of the page."""
    parts = [HEAD]
    for kind, description in KINDS.items():
        sentence = description[0].upper() + description[1:]
        parts.append(f"## {kind}\n\n{sentence}.\n\n![{sentence}](pictures/gallery/{kind}.png)\n")
    return "\n".join([*parts, TAIL])


def save(figure: Figure, name: str) -> None:
    """Write a small picture of few colours."""
    path = PICTURES / f"{name}.png"
    figure.savefig(path, dpi=DPI, facecolor="white")
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(palette=make_palette(), dither=Image.Dither.NONE)
    small.save(path, optimize=True)


def make_palette() -> Image.Image:
    """The colours of the figures in shades; a palette found by counting pixels would drop the rare ones."""
    colours = 255 * np.array([to_rgb(colour) for colour in NAMES])
    share = np.linspace(1.0, 0.0, SHADES, endpoint=False)[:, None, None]
    shades = (share * colours + (1 - share) * 255).reshape(-1, 3)
    shades = np.vstack([shades[shades.min(axis=1) < PALEST], np.full((1, 3), 255.0)])
    palette = Image.new("P", (1, 1))
    palette.putpalette(shades.round().astype(np.uint8).tobytes())
    return palette


def gather(file: str, model: str) -> tuple[Evidence, ef.Recording]:
    """A fit of a shipped recording on its held-out sweeps, and the recording."""
    recording = ef.load(DATA / file)
    train, test = recording.split()
    return gather_evidence(ef.fit(train, model), test, train), recording


def main() -> None:
    """Draw all kinds and write the page."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    noise, _ = gather("DRN164.nwb", "AIGIF")
    steps, recording = gather("18713001.abf", "AdLIF")
    for kind in KINDS:
        save(draw_figure(steps if kind in OF_STEPS else noise, kind), kind)
    save(ef.plot(recording), "sweeps")
    PAGE.write_text(write_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
