"""The legend of a panel in a real browser: whole on a wide page and on that of a telephone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import explorer_browser
import pytest
from bokeh.models import Range1d
from bokeh.plotting import save
from bokeh.resources import INLINE

from ephysfit.reports.bokeh_panels import make_panel, place_legend, stack_panels

LABELS = ("recorded and predicted", "recorded, missed", "predicted, not recorded")
#: left and right end of the legend, width of its panel, and number of its columns
MEASURE = """() => {
  const found = [];
  const visit = (view) => {
    if (view.model.type === "Legend") {
      found.push([view.bbox.left, view.bbox.right, view.parent.bbox.width, view.model.ncols]);
    }
    for (const child of [...(view.child_views ?? []), ...(view.renderer_views?.values() ?? [])]) visit(child);
  };
  for (const root of Bokeh.index.roots) visit(root);
  return found;
}"""


def write_panel(path: Path) -> None:
    panel = make_panel(Range1d(0, 1), "repeat", 140)
    for k, label in enumerate(LABELS):
        panel.line([0, 1], [k, k], legend_label=label)
    place_legend(panel)
    save(stack_panels([panel]), path, resources=INLINE, title="panel")


@pytest.mark.slow
@pytest.mark.parametrize(("width", "columns"), [(400, 1), (1280, 3)])
def test_no_entry_of_a_legend_is_clipped(tmp_path: Path, width: int, columns: int) -> None:
    explorer_browser.needed()
    # in a process of its own: where the explorer's tests have imported panel, bokeh's pages ask for panel's files too
    again = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, __file__, tmp_path / "panel.html"], env=again, check=True, timeout=120)
    with explorer_browser.opened((tmp_path / "panel.html").as_uri(), width=width) as (page, troubles):
        page.wait_for_function("() => Bokeh.index.roots.length > 0")
        page.wait_for_timeout(500)  # a first layout, then that of the columns
        ((left, right, whole, found),) = page.evaluate(MEASURE)
    assert not troubles
    assert 0 <= left < right <= whole
    assert found == columns


if __name__ == "__main__":
    write_panel(Path(sys.argv[1]))
