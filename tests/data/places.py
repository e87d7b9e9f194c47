"""Where the recordings are: shipped ones always, those of the shared folder when it lies beside the checkout."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "data"
SHARED = ROOT.parent / "shared" / "data"
CELLS = ("DRN164", "DRN158")
ABF = {"DRN164": "DRN164_5HT/DRN164_5ht", "DRN158": "DRN158_GABA/DRN158_gaba", "DRN162": "DRN162_5HT/DRN162_5ht"}

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared recordings are not beside this checkout")
