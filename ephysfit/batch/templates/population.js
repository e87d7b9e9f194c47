"use strict";
// The cells of a run: filters, sorting, cards, a table and a scatter, from the JSON in the page.
(() => {
  const DATA = JSON.parse(document.getElementById("cells").textContent);
  const { columns, rows, reasons, short } = DATA;
  const LOOSE = "the model was fitted to spikes alone, which fix no mV: this value stands on an assumed scale";
  const at = Object.assign(Object.create(null), Object.fromEntries(columns.map((c, k) => [c.name, k])));
  const COLOURS = ["model", "extra", "consensus", "missed", "current", "noisy", "ink"];
  const models = [...new Set(rows.map((r) => r.model))].sort();
  const BATCH = 48;
  const $ = (selector, from = document) => from.querySelector(selector);
  const home = document.getElementById("browse"), form = $(".controls", home);
  const state = { search: "", model: "", sort: "", order: "down", view: "cards", x: "", y: "", logX: false, logY: false, filters: [] };
  let found = [], drawn = 0, now = -1;

  // text

  const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
  function show(value) {
    if (value === null || value === undefined) return "–";
    if (value === 0) return "0";
    const digits = Math.max(0, Math.min(4, 2 - Math.floor(Math.log10(Math.abs(value)))));
    return value.toFixed(digits).replace("-", "−");
  }
  const label = (t) => String(+t.toPrecision(4)).replace("-", "−"); // of a tick
  const withUnit = (c) => (c.unit ? `${c.label}, ${c.unit}` : c.label);
  const reason = (row, k) => (k in row.missing ? reasons[row.missing[k]] : "not measured");
  function cell(row, k, more = "") {
    if (k === undefined) return `<td class="num ${more}"></td>`;
    const value = row.values[k], c = columns[k];
    if (value !== null && row.unscaled && c.group === "model" && DATA.scaled_units.includes(c.unit))
      return `<td class="num loose" title="${LOOSE}">(${show(value)})</td>`;
    if (value !== null) return `<td class="num ${more}">${show(value)}</td>`;
    return `<td class="num ${more}" title="${escape(reason(row, k))}">–</td>`;
  }

  // which rows, in which order

  function choose() {
    const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
    const bounds = state.filters.filter((f) => f.low !== null || f.high !== null);
    found = [];
    rows.forEach((r, n) => {
      if (state.model === "" ? !r.best : state.model !== "*" && `=${r.model}` !== state.model) return;
      const name = `${r.cell} ${r.model}`.toLowerCase();
      if (!words.every((w) => name.includes(w))) return;
      for (const f of bounds) {
        const v = r.values[at[f.name]];
        if (v === null || (f.low !== null && v < f.low) || (f.high !== null && v > f.high)) return;
      }
      found.push(n);
    });
    const sign = state.order === "down" ? -1 : 1, k = at[state.sort];
    const byName = (a, b) => rows[a].cell.localeCompare(rows[b].cell, undefined, { numeric: true });
    if (k === undefined) found.sort((a, b) => sign * byName(a, b));
    else found.sort((a, b) => {
      const u = rows[a].values[k], v = rows[b].values[k];
      if (u === null || v === null) return (u === null) - (v === null) || byName(a, b); // missing ones last, either way
      return sign * (u - v) || byName(a, b);
    });
  }

  // thumbnails: bytes to paths

  const WIDE = 240, HIGH = 110, TOP = 4, TICK = 6;
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  function thumbnail(row) {
    const t = row.thumbnail;
    if (!t) return '<p class="nothing">no thumbnail: the run was made by an earlier version</p>';
    const ticks = Math.min(t.trains.length, 8) * TICK + 4;
    const below = t.traces.length ? HIGH - ticks : TOP;
    const step = t.traces.length ? TICK : Math.min(14, (HIGH - 2 * TOP) / t.trains.length);
    let out = "";
    for (const [whose, text] of t.traces) {
      const b = bytes(text), height = below - 2 * TOP;
      let path = "", open = false;
      for (let k = 0; k < b.length; k++) {
        if (b[k] === 255) { open = false; continue; }
        const column = k >> 1, low = b[2 * column], high = b[2 * column + 1];
        const y = TOP + height * (1 - (k % 2 ? high : low) / 254);
        if (k % 2 && low === high) continue;
        path += `${open ? "L" : "M"}${((column + 0.5) * 2 * WIDE / b.length).toFixed(1)} ${y.toFixed(1)}`;
        open = true;
      }
      out += `<path class="of-${whose}" d="${path}"/>`;
    }
    t.trains.forEach(([whose, text], n) => {
      const y = below + 2 + n * step, path = [...bytes(text)].map((x) => `M${(x * WIDE / 254).toFixed(1)} ${y.toFixed(1)}v${(step - 1.5).toFixed(1)}`);
      out += `<path class="of-${whose}" d="${path.join("")}"/>`;
    });
    const what = `${t.traces.length ? "Voltage and spikes" : "Spikes"} of ${row.cell} (dark) and of its model (coloured): ${t.caption}`;
    return `<svg class="thumbnail" viewBox="0 0 ${WIDE} ${HIGH}" role="img" aria-label="${escape(what)}">${out}</svg>`;
  }

  // cards

  function valueRow(row, name, more = "") {
    const c = columns[at[name]] || columns[at[`model.${name}`]];
    if (!c) return "";
    const label = c.label.replace(/ of the model$/, "");
    return `<tr class="${more}"><th scope="row" title="${escape(c.doc)}">${escape(label)} <small>${escape(c.unit)}</small></th>` +
      `${cell(row, at[name])}${cell(row, at[`model.${name}`], "of-model")}</tr>`;
  }
  const HEAD = '<thead><tr><th scope="col"><span class="hidden">measure</span></th><th scope="col" class="num">cell</th><th scope="col" class="num">model</th></tr></thead>';
  function card(n) {
    const row = rows[n], sorted = state.sort.replace(/^model\./, "");
    const title = row.link ? `<a href="${escape(encodeURI(row.link))}">${escape(row.cell)}</a>` : escape(row.cell);
    const scores = columns.map((c, k) => [c, k]).filter(([c, k]) => c.group === "score" && row.values[k] !== null)
      .filter(([c], j) => j < 3 || c.name === state.sort)
      .map(([c, k]) => `<div title="${escape(c.doc)}"><dt>${escape(c.label)}</dt><dd>${show(row.values[k])}</dd></div>`).join("");
    const names = short.concat(short.includes(sorted) || !(sorted in at) || columns[at[sorted]].group === "score" ? [] : [sorted]);
    const caption = row.thumbnail ? `<p class="caption">${escape(row.thumbnail.caption)}${row.thumbnail.range_mV ? `; ${row.thumbnail.range_mV.map(show).join(" to ")} mV` : ""}</p>` : "";
    return `<article class="cell" id="fit-${n}" tabindex="-1" aria-label="${escape(row.cell)}, ${escape(row.model)}"><h3>${title}</h3><p class="model">${escape(row.model)}</p>` +
      `${thumbnail(row)}${caption}<dl class="scores">${scores}</dl><table class="values">${HEAD}<tbody>` +
      `${names.map((name) => valueRow(row, name, name === sorted ? "sorted" : "")).join("")}</tbody></table>` +
      (row.unscaled ? '<p class="caption">In brackets: on a scale that spikes do not fix.</p>' : "") +
      `<details data-n="${n}"><summary>all values</summary></details></article>`;
  }
  function fillDetails(details) { // once, when it is opened
    if (details.children.length > 1) return;
    const row = rows[details.dataset.n], known = new Set(short);
    const names = [...new Set(columns.filter((c) => c.group !== "score").map((c) => c.name.replace(/^model\./, "")))].filter((n) => !known.has(n));
    const scores = columns.map((c, k) => [c, k]).filter(([c]) => c.group === "score")
      .map(([c, k]) => `<tr><th scope="row" title="${escape(c.doc)}">${escape(c.label)}</th>${cell(row, k)}<td></td></tr>`).join("");
    const why = Object.entries(row.missing).map(([k, r]) => `<li>${escape(columns[k].label)}: ${escape(reasons[r])}</li>`).join("");
    details.insertAdjacentHTML("beforeend", `<table class="values">${HEAD}<tbody>${names.map((n) => valueRow(row, n)).join("")}${scores}</tbody></table>` +
      (why ? `<ul class="reasons">${why}</ul>` : ""));
  }

  // the table

  function heading(name, label, doc, number) {
    const sorted = state.sort === name ? (state.order === "down" ? "descending" : "ascending") : "none";
    const mark = sorted === "none" ? "" : `<span aria-hidden="true">${sorted === "descending" ? " ▾" : " ▴"}</span>`;
    return `<th scope="col" aria-sort="${sorted}"${number ? ' class="num"' : ""}><button type="button" data-sort="${name}" title="${escape(doc)}">${escape(label)}${mark}</button></th>`;
  }
  function tableRow(n) {
    const row = rows[n], name = row.link ? `<a href="${escape(encodeURI(row.link))}">${escape(row.cell)}</a>` : escape(row.cell);
    return `<tr id="fit-${n}" tabindex="-1"><th scope="row">${name}</th><td>${escape(row.model)}</td>${columns.map((_, k) => cell(row, k)).join("")}</tr>`;
  }

  function draw(all = false) {
    const cards = $(".cards", home), table = $(".rows", home), asTable = state.view === "table";
    const until = all ? found.length : Math.min(drawn + (asTable ? 4 * BATCH : BATCH), found.length), part = found.slice(drawn, until);
    table.hidden = !asTable;
    if (!drawn) {
      cards.innerHTML = "";
      table.innerHTML = asTable ? `<table><thead><tr>${heading("", "cell", "name of the cell")}<th scope="col">model</th>` +
        `${columns.map((c) => heading(c.name, withUnit(c), c.doc, true)).join("")}</tr></thead><tbody></tbody></table>` : "";
    }
    const into = asTable ? $("tbody", table) : cards;
    into.insertAdjacentHTML("beforeend", part.map(asTable ? tableRow : card).join(""));
    drawn = until;
    const left = found.length - drawn, next = $(".next", home), rest = $(".rest", home);
    next.hidden = rest.hidden = left === 0;
    next.textContent = `Show ${Math.min(left, asTable ? 4 * BATCH : BATCH)} more`;
    rest.textContent = `Show all ${found.length}`;
  }
  function open(n) { // the card of a dot
    const place = found.indexOf(n);
    if (place < 0) return;
    while (drawn <= place) draw();
    home.querySelectorAll(".now").forEach((e) => e.classList.remove("now"));
    const target = document.getElementById(`fit-${n}`);
    target.classList.add("now");
    target.scrollIntoView({ block: "center" });
    target.focus({ preventScroll: true });
  }

  // the scatter

  function ticks(low, high, log) {
    if (log) {
      const out = [];
      for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
        for (const m of high / low > 30 ? [1] : [1, 2, 5]) if (m * 10 ** e >= low && m * 10 ** e <= high) out.push(m * 10 ** e);
      return out;
    }
    const raw = (high - low) / 5, base = 10 ** Math.floor(Math.log10(raw)), step = [1, 2, 5, 10].find((m) => m * base >= raw) * base, out = [];
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) out.push(+(k * step).toPrecision(12));
    return out;
  }
  function axis(values, log) {
    let low = Math.min(...values), high = Math.max(...values);
    if (log) { if (high <= low * 1.0001) { low /= 1.5; high *= 1.5; } const f = (high / low) ** 0.04; return [low / f, high * f]; }
    if (high - low < 1e-12) { low -= 1; high += 1; }
    return [low - 0.04 * (high - low), high + 0.04 * (high - low)];
  }
  const rank = (v) => { const order = v.map((x, k) => [x, k]).sort((a, b) => a[0] - b[0]), out = []; // ties share their mean rank
    for (let i = 0, j; i < order.length; i = j) { for (j = i; j < order.length && order[j][0] === order[i][0]; j++); for (let k = i; k < j; k++) out[order[k][1]] = (i + j - 1) / 2; } return out; };
  function correlate(u, v) {
    const a = rank(u), b = rank(v), m = (a.length - 1) / 2;
    const dot = (p, q) => p.reduce((sum, x, k) => sum + (x - m) * (q[k] - m), 0);
    return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  }
  function scatter() {
    const box = $(".scatter", home), i = at[state.x], j = at[state.y];
    if (!$(".plot", home).open || i === undefined || j === undefined) { box.innerHTML = ""; return; }
    const usable = (v, log) => v !== null && (!log || v > 0);
    const dots = found.filter((n) => usable(rows[n].values[i], state.logX) && usable(rows[n].values[j], state.logY));
    if (!dots.length) { box.innerHTML = '<p class="nothing">no cell among these has both values</p>'; return; }
    const xs = dots.map((n) => rows[n].values[i]), ys = dots.map((n) => rows[n].values[j]);
    const width = Math.max(box.clientWidth, 280), height = Math.round(Math.min(380, Math.max(240, width * 0.45))), left = 56, bottom = 42;
    const [x0, x1] = axis(xs, state.logX), [y0, y1] = axis(ys, state.logY);
    const place = (v, a, b, log) => (log ? Math.log(v / a) / Math.log(b / a) : (v - a) / (b - a));
    const px = (v) => left + (width - left - 10) * place(v, x0, x1, state.logX), py = (v) => height - bottom - (height - bottom - 8) * place(v, y0, y1, state.logY);
    let out = "";
    for (const t of ticks(x0, x1, state.logX)) out += `<path class="grid" d="M${px(t)} 8V${height - bottom}"/><text x="${px(t)}" y="${height - bottom + 16}" text-anchor="middle">${label(t)}</text>`;
    for (const t of ticks(y0, y1, state.logY)) out += `<path class="grid" d="M${left} ${py(t)}H${width - 10}"/><text x="${left - 6}" y="${py(t) + 4}" text-anchor="end">${label(t)}</text>`;
    out += `<path class="axis" fill="none" d="M${left} 8V${height - bottom}H${width - 10}"/>`;
    out += `<text x="${(left + width) / 2}" y="${height - 6}" text-anchor="middle">${escape(withUnit(columns[i]))}</text>`;
    out += `<text transform="translate(13 ${(height - bottom) / 2}) rotate(-90)" text-anchor="middle">${escape(withUnit(columns[j]))}</text>`;
    dots.forEach((n, k) => { out += `<circle data-n="${n}" cx="${px(xs[k]).toFixed(1)}" cy="${py(ys[k]).toFixed(1)}" r="${dots.length > 300 ? 3.2 : 4.5}" fill="var(--${COLOURS[models.indexOf(rows[n].model) % COLOURS.length]})"/>`; });
    const rho = dots.length > 4 ? correlate(xs, ys) : NaN, said = `${dots.length} of ${found.length} fits have both${Number.isFinite(rho) ? `; rank correlation ${show(rho)}` : ""}`;
    const shown = [...new Set(dots.map((n) => rows[n].model))].sort();
    const legend = shown.length > 1 ? `<p class="legend">${shown.map((m) => `<span><i style="background:var(--${COLOURS[models.indexOf(m) % COLOURS.length]})"></i>${escape(m)}</span>`).join("")}</p>` : "";
    box.innerHTML = `${legend}<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="application" tabindex="0" aria-roledescription="scatter plot" aria-label="${escape(`${withUnit(columns[j])} against ${withUnit(columns[i])}: ${said}. Arrow keys go from dot to dot, Enter opens the card.`)}">${out}</svg><p class="note">${said}.</p>`;
    box.dots = dots.map((n, k) => [xs[k], n]).sort((a, b) => a[0] - b[0]).map(([, n]) => n);
    now = -1;
  }
  function point(n) {
    const box = $(".scatter", home), r = rows[n];
    box.querySelectorAll("circle.now").forEach((e) => e.classList.remove("now"));
    const dot = box.querySelector(`circle[data-n="${n}"]`);
    dot.classList.add("now"); dot.parentNode.append(dot);
    $(".picked", home).textContent = `${r.cell}, ${r.model}: ${withUnit(columns[at[state.x]])} ${show(r.values[at[state.x]])}; ${withUnit(columns[at[state.y]])} ${show(r.values[at[state.y]])}`;
  }

  // controls

  function filterBox(f) {
    const c = columns[at[f.name]], values = rows.map((r) => r.values[at[f.name]]).filter((v) => v !== null);
    const box = document.createElement("fieldset");
    box.className = "filter";
    box.innerHTML = `<span>${escape(withUnit(c))}</span><input type="number" step="any" aria-label="${escape(c.label)}, at least" placeholder="${show(Math.min(...values))}">` +
      `<span>to</span><input type="number" step="any" aria-label="${escape(c.label)}, at most" placeholder="${show(Math.max(...values))}"><button type="button" aria-label="remove the filter ${escape(c.label)}">×</button>`;
    const [low, high] = box.querySelectorAll("input");
    low.value = f.low ?? ""; high.value = f.high ?? "";
    const number = (input) => (input.value === "" ? null : Number(input.value));
    for (const input of [low, high]) input.addEventListener("input", () => { f.low = number(low); f.high = number(high); update(); });
    $("button", box).addEventListener("click", () => { state.filters = state.filters.filter((g) => g !== f); box.remove(); update(); $(".add", home).focus(); });
    $(".filters", home).append(box);
    return low;
  }
  function update() {
    choose();
    drawn = 0;
    draw();
    scatter();
    const cells = new Set(found.map((n) => rows[n].cell)).size, all = new Set(rows.map((r) => r.cell)).size;
    $(".count", home).textContent = `${cells} of ${all} cells` + (found.length === cells ? "" : `, ${found.length} fits`);
    $(".clear", home).hidden = !(state.filters.length || state.search);
    const kept = encodeURIComponent(JSON.stringify(state));
    try { history.replaceState(null, "", `#view=${kept}`); } catch { /* a page inside another may not */ }
  }
  function options(select, kept = "") {
    const groups = { score: "scores", cell: "measured of the cell", model: "measured of the model" };
    select.innerHTML = kept + Object.entries(groups).map(([g, label]) => `<optgroup label="${label}">` +
      columns.filter((c) => c.group === g).map((c) => `<option value="${c.name}">${escape(withUnit(c))}</option>`).join("") + "</optgroup>").join("");
  }
  function start() {
    options(form.sort, '<option value="">cell</option>');
    options($(".add", home), '<option value="">choose a value …</option>');
    const [x, y] = [$(".x", home), $(".y", home)];
    options(x); options(y);
    const first = (...names) => names.find((n) => n in at) || (columns[0] || {}).name || "";
    Object.assign(state, { sort: first("md_star_8", "gamma_4"), x: first("input_resistance", "model.tau"), y: first("tau", "md_star_8") });
    try { // what a link or the way back from a report holds
      const kept = JSON.parse(decodeURIComponent(location.hash.match(/^#view=(.*)$/)[1]));
      for (const name of Object.keys(state)) if (typeof kept[name] === typeof state[name]) state[name] = kept[name];
      if (!Array.isArray(state.filters)) state.filters = [];
      state.filters = state.filters.filter((f) => f && f.name in at);
    } catch { /* none */ }
    for (const name of ["search", "model", "sort", "order", "view"]) {
      form[name].value = state[name];
      form[name].addEventListener(name === "search" ? "input" : "change", () => { state[name] = form[name].value; update(); });
    }
    form.addEventListener("submit", (e) => e.preventDefault());
    x.value = state.x; y.value = state.y;
    for (const [box, name] of [[x, "x"], [y, "y"]]) box.addEventListener("change", () => { state[name] = box.value; update(); });
    for (const [selector, name] of [[".log-x", "logX"], [".log-y", "logY"]]) {
      $(selector, home).checked = state[name];
      $(selector, home).addEventListener("change", (e) => { state[name] = e.target.checked; update(); });
    }
    state.filters.forEach(filterBox);
    $(".add", home).addEventListener("change", (e) => {
      if (!e.target.value) return;
      const f = { name: e.target.value, low: null, high: null };
      state.filters.push(f); e.target.value = "";
      const input = filterBox(f);
      update(); input.focus();
    });
    $(".clear", home).addEventListener("click", () => { state.filters = []; state.search = form.search.value = ""; $(".filters", home).innerHTML = ""; update(); form.search.focus(); });
    $(".next", home).addEventListener("click", () => { const n = found[drawn]; draw(); document.getElementById(`fit-${n}`).focus(); });
    $(".rest", home).addEventListener("click", () => { const n = found[drawn]; draw(true); document.getElementById(`fit-${n}`).focus(); });
    home.addEventListener("toggle", (e) => { if (e.target.matches(".cell details[open]")) fillDetails(e.target); if (e.target.matches(".plot")) scatter(); }, true);
    home.addEventListener("click", (e) => {
      const head = e.target.closest("[data-sort]"), dot = e.target.closest("circle[data-n]");
      if (head) {
        const same = state.sort === head.dataset.sort;
        state.order = form.order.value = same && state.order === "down" ? "up" : same ? "down" : head.dataset.sort ? "down" : "up";
        state.sort = form.sort.value = head.dataset.sort;
        update();
        $(`[data-sort="${state.sort}"]`, home).focus();
      }
      if (dot) { point(+dot.dataset.n); open(+dot.dataset.n); }
    });
    $(".scatter", home).addEventListener("keydown", (e) => {
      const dots = $(".scatter", home).dots || [];
      const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[e.key];
      if (step && dots.length) { now = (now + step + dots.length) % dots.length; point(dots[now]); e.preventDefault(); }
      if (e.key === "Enter" && now >= 0) { open(dots[now]); e.preventDefault(); }
    });
    $(".scatter", home).addEventListener("pointerover", (e) => { if (e.target.matches("circle[data-n]")) point(+e.target.dataset.n); });
    let wide = 0;
    new ResizeObserver(([entry]) => { const w = Math.round(entry.contentRect.width); if (w !== wide) { wide = w; scatter(); } }).observe($(".scatter", home));
    update();
  }
  start();
})();
