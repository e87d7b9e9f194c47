"""Write docs/models/ from the declarations: one page a family, and an index with the nested ladder.

Run ``python docs/make_models.py``; a test fails when the pages are older than the declarations.
"""

from __future__ import annotations

import inspect
import re
import sys
from itertools import groupby
from pathlib import Path

from ephysfit.models import catalogue, ladder
from ephysfit.neuron.declare import Neuron, Parameter, flat_names
from ephysfit.neuron.symbols import latex

FOLDER = Path(__file__).parent / "models"
#: more lines than this would repeat a bank's equation for every element
MOST_LINES = 16
#: what neurons are for, and which; every neuron of the catalogue stands in one line (`index` refuses one that does not)
PURPOSES = {
    "predict spike times as well as can be": ("AIGIF", "BankIGIF", "BankGIF"),
    "the fewest parameters: a leaky membrane and a threshold": ("LIF", "SoftLIF", "GLIF1"),
    "adaptation by an after-spike current": ("AdLIF", "SiLIF", "LIFASC", "GLIF3", "RefractoryCurrentLIF"),
    "adaptation by a moving threshold": ("ALIF", "MultiALIF", "MAT", "GLIF2", "RefractoryLIF"),
    "adaptation by both": ("GIF", "FreeGIF", "GLIF4"),
    "accommodation: the threshold follows the potential": ("IGIF", "FreeIGIF", "MATV", "GLIF5"),
    "delayed spikes: an A-type potassium current": ("AGIF", "FreeAGIF"),
    "a conductance that a spike opens": ("AutapticLIF", "STCLIF", "SpatialSTC"),
    "a spike with an upstroke, firing patterns": ("EIF", "AdEx", "Izhikevich", "Izhikevich2003"),
    "resonance, rebound, subthreshold oscillation": (
        "ResonantLIF", "ResetPRF", "PRF", "ResonateFire", "BRF", "CSiLIF"),
    "networks trained in parallel": ("BlockALIF",),
}  # fmt: skip


def family(neuron: type[Neuron]) -> str:
    """Name of the file that declares it."""
    return neuron.__module__.rsplit(".", 1)[-1]


def number(value: float) -> str:
    return f"{value:g}"


def values(numbers: tuple[float, ...]) -> str:
    return ", ".join(number(v) for v in numbers)


def row(name: str, p: Parameter) -> str:
    size = f" ({p.size})" if p.size > 1 else ""
    start = values(p.starts) if len(set(p.starts)) > 1 else number(p.starts[0])
    note = "; measured, not fitted" if p.measured else "" if p.smooth else "; searched, not differentiated"
    return f"| `{name}`{size} | {p.unit} | {number(p.low)} to {number(p.high)} | {start} | {p.doc}{note} |"


def pinned_row(name: str, value: object, unit: str) -> str:
    shown = "tied to the others" if callable(value) else values(value if isinstance(value, tuple) else (value,))
    return f"| `{name}` | {unit} | pinned | {shown} | |"


def prose(neuron: type[Neuron]) -> str:
    """The docstring as Markdown."""
    text = inspect.cleandoc(neuron.__doc__ or "")
    text = re.sub(r"\.\. math::\s*\n?((?:\s+.*\n?)+?)(?=\n\S|\Z)", display, text)
    text = re.sub(r":math:`([^`]+)`", r"$\1$", text)
    text = re.sub(r"^References\n-+\n", "**References** ", text, flags=re.MULTILINE)
    return text.replace("``", "`").strip()


def display(match: re.Match[str]) -> str:
    body = " ".join(line.strip() for line in match.group(1).strip().splitlines())
    return f"\n$$\n\\begin{{aligned}}{body}\\end{{aligned}}\n$$\n" if "&" in body else f"\n$$\n{body}\n$$\n"


def equations(neuron: type[Neuron]) -> list[str]:
    lines = latex(neuron)
    if len(lines) > MOST_LINES:
        return [f"{len(lines)} scalar equations, banks unrolled: `ephysfit models {neuron.__name__}` prints them."]
    return ["As declared, pinned values put in:", "", *[f"$$\n{line}\n$$\n" for line in lines]]


def root(neuron: type[Neuron]) -> type[Neuron]:
    return neuron if neuron.base is None else root(neuron.base)


def section(neuron: type[Neuron]) -> str:
    declared = root(neuron).parameters
    states = [f"| `{n}`{f' ({s.size})' if s.size > 1 else ''} | {s.unit} | {s.doc} |" for n, s in neuron.states.items()]
    inputs = [f"| `{n}` | {i.unit} | input: {i.doc} |" for n, i in neuron.inputs.items()]
    pins = [pinned_row(k, v, declared[k].unit) for k, v in neuron.pinned.items()]
    return "\n".join(
        [
            f"## {neuron.__name__}\n",
            f"*{neuron.biology}*\n",
            prose(neuron),
            "",
            *equations(neuron),
            "",
            "| parameter | unit | bounds | start | meaning |",
            "|---|---|---|---|---|",
            *[row(k, p) for k, p in neuron.parameters.items()],
            *pins,
            "",
            "| state | unit | meaning |",
            "|---|---|---|",
            *states,
            *inputs,
            "",
            f"While refractory: {', '.join(neuron.hold) + ' held' if neuron.hold else 'everything moves on'}.\n",
        ]
    )


def link(neuron: type[Neuron]) -> str:
    """A link from the index to the neuron's section."""
    return f"[{neuron.__name__}]({family(neuron)}.md#{neuron.__name__.lower()})"


def by_purpose(neurons: list[type[Neuron]]) -> list[str]:
    """A table of what neurons are for.

    Raises
    ------
    ValueError
        If a neuron has no purpose, or two.
    """
    known = {n.__name__: n for n in neurons}
    listed = [name for names in PURPOSES.values() for name in names]
    if sorted(listed) != sorted(known):
        raise ValueError(f"neurons without a purpose, or with two: {sorted(set(known) ^ set(listed)) or listed}")
    rows = [f"| {purpose} | {', '.join(link(known[name]) for name in names)} |" for purpose, names in PURPOSES.items()]
    return ["## By purpose\n", "| you want | neurons |", "|---|---|", *rows, ""]


def index(neurons: list[type[Neuron]]) -> str:
    lines = ["# Neurons\n", "Made by `docs/make_models.py` from the declarations.\n", *by_purpose(neurons)]
    lines += ["## By name\n"]
    lines += ["| neuron | numbers to fit | what it adds | reference |", "|---|---|---|---|"]
    for n in neurons:
        count = len(list(flat_names({k: p for k, p in n.parameters.items() if not p.measured})))
        lines.append(f"| {link(n)} | {count} | {n.biology} | {n.reference} |")
    lines += ["\n## The nested ladder\n", "Pins that turn the richer neuron into the simpler one.\n"]
    lines += ["| simpler | richer | more numbers | pins |", "|---|---|---|---|"]
    for r in ladder():
        pins = ", ".join(f"{k} = {'tied' if callable(v) else v}" for k, v in r.pins.items())
        lines.append(f"| {r.simple.__name__} | {r.rich.__name__} | {r.freedoms} | {pins} |")
    families = {name: [n.__name__ for n in neurons if family(n) == name] for name in sorted(set(map(family, neurons)))}
    entries = [f"{', '.join(names)} <{name}>" for name, names in families.items()]
    lines += ["", "```{toctree}", ":hidden:", "", *entries, "```"]
    return "\n".join(lines) + "\n"


def pages() -> dict[str, str]:
    """File name and text of every page."""
    neurons = list(catalogue().values())
    out = {"index.md": index(neurons)}
    for name, members in groupby(sorted(neurons, key=family), key=family):
        group = list(members)
        doc = inspect.getdoc(sys.modules[group[0].__module__]) or name
        title, _, rest = doc.partition("\n")
        out[f"{name}.md"] = (
            "\n".join([f"# {title.rstrip('.')}\n", rest.strip(), "", *map(section, group)]).rstrip() + "\n"
        )
    return out


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    made = pages()
    for old in FOLDER.glob("*.md"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
