/* Bokeh draws on a canvas, which knows no CSS: give its marks the colours of the page, now and when the scheme changes. */
(function () {
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  function paint() {
    const axis = { axis_line_color: colour("muted"), major_tick_line_color: colour("muted"),
                   minor_tick_line_color: null, major_label_text_color: colour("ink"),
                   axis_label_text_color: colour("ink"), axis_label_text_font_style: "normal" };
    for (const document of Bokeh.documents) {
      for (const model of document._all_models.values()) {
        const tag = model.tags && model.tags[0];
        if (!tag) continue;
        if (tag === "axis") model.setv(axis);
        else if (tag === "rule") model.setv({ grid_line_color: model.grid_line_color === null ? null : colour("grid") });
        else if (tag === "legend") model.setv({ label_text_color: colour("ink") });
        else model.setv({ line_color: colour(tag) });
      }
    }
  }
  function ready() {
    if (window.Bokeh && Bokeh.documents.length) paint(); else setTimeout(ready, 50);
  }
  addEventListener("load", ready);
  scheme.addEventListener("change", paint);
})();
