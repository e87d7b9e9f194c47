"""Text of the kernels that run forward: a simulation, and its derivatives in forward mode (tangents)."""

from __future__ import annotations

from ephysfit.kernels.slot_writer import WINDOWS, SlotWriter


def write_forward(w: SlotWriter) -> str:
    """The forward kernel's text."""
    v, slots = w.v, w.state_slots()
    summed = v.trace or v.escape
    stored = [f"store(kept, (part * {len(slots)} + {k}) * rows + row, {x})" for k, x in enumerate(slots)]
    lanes = "for l in range(LANES):"
    first = ["total = zero", lanes, "    drawn[l] = 0", "    line[l] = thresholds[drawing[row + l], 0]",
             "limit = load(line, 0)"]  # fmt: skip
    for name, place in (("beta", "3"), ("offset", "3 + rows")):
        first += [lanes, f"    line[l] = numbers[{place} + row + l]", f"{name} = load(line, 0)"]
    saved = {-1: "u", **{k: f"x{k}" for k in range(len(w.p.states))}}
    filled = {
        "coefs": w.coefs(),
        "rest": w.rest(),
        "begin": (first if v.spikes == "drawn" else []) + w.trace_begin() + w.resume(),
        "keep": [*stored, "storei(woken, part * rows + row, wake)"] if v.keep else [],
        "fill": w.fill() + (["square = zero"] if summed else []),
        "step": w.step() + w.trace_decay() + (w.expected() if v.escape else []),
        "spike": w.log_probability() + w.spike() + w.next_threshold(),
        "settle": w.settle(),
        "trace": (["square = fma(e, e, square)"] if v.trace else [])
        + (["square = square - where(held, zero, expected)"] if v.escape else []),
        "save": [
            line
            for k, name in enumerate(v.save)
            for line in (f"store(line, 0, {saved[name]})",
                         f"for l in range(LANES):\n{' ' * 20}saved[row + l, {k}, t] = line[l]")
        ],
        "flush": w.add_lanes("square", "loss[row + l]") if summed else [],
    }  # fmt: skip
    filled["final"] = [f"store(final, {k} * rows + row, {x})" for k, x in enumerate(slots)]
    return w.fill_template("forward", filled)


def write_tangent(w: SlotWriter) -> str:
    """The forward-mode kernel's text."""
    p, v = w.p, w.v
    t = p.tangents(v.detach)
    first, flow, margin, jump = ([(s, e) for s, e in part] for part in t.parts)
    pairs = [(a, b) for n, a in enumerate(t.active) for b in t.active[n:]]
    filled = {
        "coefs": w.coefs(),
        "rest": [*w.rest(), *w.printer.program(first)],
        "begin": ["e = zero", *[f"d{k} = zero" for k in t.active]],
        "fill": w.fill(),
        "gather": ["square = zero", *[f"g{k} = zero" for k in t.active], *[f"h{a}_{b} = zero" for a, b in pairs]],
        "step": [*w.step(), *w.trace_decay(), *w.printer.program(flow)],
        "slope": [*WINDOWS[v.window], "slope = where(held, zero, slope)", *w.printer.program(margin)],
        "falls": w.printer.program(p.falls()),
        "graph": w.printer.program(t.graph),
        "spike": [*w.printer.program(jump), *[f"z{s.name[1:]} = {s.name}" for s, _ in jump], *w.spike()],
        "settle": w.settle() + [f"t{i}_{k} = z{i}_{k}" for i in range(len(p.y)) for k in t.active],
        "sums": ["square = fma(e, e, square)"]
        + [f"d{k} = fma(d{k}, kappa, ds{k})" for k in t.active]
        + [f"g{k} = fma(e, d{k}, g{k})" for k in t.active]
        + [f"h{a}_{b} = fma(d{a}, d{b}, h{a}_{b})" for a, b in pairs],
        "flush": w.add_lanes("square", "loss[row + l]")
        + [line for k in t.active for line in w.add_lanes(f"g{k}", f"gradient[{k}, row + l]")]
        + [line for a, b in pairs for line in w.add_lanes(f"h{a}_{b}", f"matrix[{a}, {b}, row + l]")],
    }
    return w.fill_template("tangent", filled)
