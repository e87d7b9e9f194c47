/* Sliders of a neuron. One request is under way at a time and the newest one follows, so that requests never queue up. */
const digits = (v) => (v === 0 ? "0" : Number(v.toPrecision(4)).toString());

function place(g, v) {
  return g.log ? Math.log(v / g.low) / Math.log(g.high / g.low) : (v - g.low) / (g.high - g.low);
}
function value(g, at) {
  return g.log ? g.low * Math.pow(g.high / g.low, at) : g.low + at * (g.high - g.low);
}
function make(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

/* Bokeh draws on a canvas without CSS: set the colours of marks whose tag names a colour of the page. */
function paint(el) {
  const style = getComputedStyle(el);
  const colour = (name) => style.getPropertyValue("--" + name).trim();
  if (!window.Bokeh || !colour("ink")) return;
  const axis = { axis_line_color: colour("muted"), major_tick_line_color: colour("muted"), minor_tick_line_color: null,
                 major_label_text_color: colour("ink"), axis_label_text_color: colour("ink"),
                 axis_label_text_font_style: "normal" };
  const here = { sync: false };  // colours belong to this window only
  for (const doc of Bokeh.documents) {
    for (const m of doc._all_models.values()) {
      const tag = m.tags && m.tags[0];
      if (tag === "axis") m.setv(axis, here);
      else if (tag === "rule") m.setv({ grid_line_color: m.grid_line_color === null ? null : colour("grid") }, here);
      else if (tag === "legend") m.setv({ label_text_color: colour("ink") }, here);
      else if (tag === "band") m.setv({ fill_color: colour("grid") }, here);
      else if (typeof tag === "string" && colour(tag) && "line_color" in m.attributes) m.setv({ line_color: colour(tag) }, here);
    }
  }
}

export function render({ model, el }) {
  const root = make("div", "sliders");
  const rows = new Map();
  let last = 0, waiting = null, pending = null, began = 0, guard = 0;

  function flush() {
    waiting = ++last;
    began = performance.now();
    model.send_msg({ id: waiting, changes: pending });
    pending = null;
    clearTimeout(guard);
    guard = setTimeout(() => { waiting = null; if (pending) flush(); }, 4000);
  }
  function ask(name, v) {
    pending = { ...pending, [name]: v };
    if (waiting === null) flush();
  }
  function answered() {
    if (model.answer !== waiting) return;
    const since = began, heard = performance.now() - began;
    waiting = null;
    clearTimeout(guard);
    if (pending) flush();
    requestAnimationFrame(() => requestAnimationFrame(() => {
      const ms = performance.now() - since;
      root.dataset.ms = ms.toFixed(1);
      (window.ephysfit_latency ||= []).push([heard, ms]);  // answered, on screen
      speed.textContent = `on screen ${Math.round(ms)} ms after the slide`;
    }));
  }

  function sliderRow(group, k, short) {
    const row = make("div", "slider");
    const label = make("label", "", short);
    const slider = make("input");
    Object.assign(slider, { type: "range", min: 0, max: 1000, step: 1 });
    slider.setAttribute("aria-label", `${k.name} (${group.unit})`);
    slider.dataset.name = k.name;
    const number = make("input", "number");
    Object.assign(number, { type: "text", inputMode: "decimal" });
    number.setAttribute("aria-label", `${k.name}, exact value in ${group.unit}`);
    const rail = make("div", "rail");
    const mark = make("i", "mark");
    mark.title = "value when it was loaded; double-click to restore";
    rail.append(mark, slider);
    row.append(label, rail, number);
    const home = place(group, k.value);
    mark.style.left = `calc(8px + ${100 * home}% - ${16 * home}px)`;
    const show = (v, moveSlider = true) => {
      if (moveSlider) slider.value = 1000 * place(group, v);
      number.value = digits(v);
    };
    slider.addEventListener("input", () => {
      const v = value(group, slider.value / 1000);
      show(v, false);
      ask(k.name, v);
    });
    slider.addEventListener("dblclick", () => { show(k.value); ask(k.name, k.value); });
    number.addEventListener("change", () => {
      const typed = Number(number.value.replace(",", ".").replace("−", "-"));
      const v = Number.isFinite(typed) && number.value.trim() ? Math.min(Math.max(typed, group.low), group.high) : k.value;
      show(v);
      ask(k.name, v);
    });
    show(k.value);
    rows.set(k.name, show);
    return row;
  }

  function header(group) {
    const head = make("div", "head");
    const name = make("b", "", group.name);
    const unit = make("span", "unit", group.unit === "1" ? "" : group.unit);
    const range = make("span", "range", `${digits(group.low)} – ${digits(group.high)}`);
    head.append(name, unit, range);
    return head;
  }

  function build() {
    rows.clear();
    root.replaceChildren();
    for (const group of model.spec) {
      if (group.measured) continue;
      const many = group.sliders.length > 1;
      const box = make(many ? "details" : "div", "group");
      box.title = group.doc;
      if (many) {
        box.open = model.spec.length < 8;
        const summary = make("summary");
        summary.append(header(group));
        summary.querySelector("b").textContent = `${group.name} × ${group.sliders.length}`;
        box.append(summary);
      } else box.append(header(group));
      box.append(make("p", "doc", group.doc));
      group.sliders.forEach((k, i) => box.append(sliderRow(group, k, many ? String(i + 1) : "")));
      root.append(box);
    }
    root.append(speed);
  }
  const speed = make("p", "speed", "");
  speed.setAttribute("aria-live", "off");
  build();
  model.on("spec", build);
  model.on("values", () => { for (const [name, v] of Object.entries(model.values)) rows.get(name)?.(v); });
  model.on("answer", answered);

  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const repaint = () => paint(el);
  scheme.addEventListener("change", repaint);
  model.on("repaint", repaint);
  [0, 150, 600, 1500].forEach((ms) => setTimeout(repaint, ms));
  return root;
}
