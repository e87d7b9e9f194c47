"""What an installation without extras takes on disk, by package.

    python benchmarks/install_size.py            # of the environment that runs this
    python benchmarks/install_size.py --write    # and put the table into docs/howto/speed.md

Packages are those that ephysfit declares, and what they declare in turn, for this Python and system; sizes are of the
files that each installed, bytecode included.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from accuracy import ROOT, _between, markdown, plain
from packaging.requirements import Requirement

from ephysfit.files import write_text

PAGE = ROOT / "docs" / "howto" / "speed.md"
SHOWN = 8


def applies(needed: Requirement, extras: set[str]) -> bool:
    """Whether a requirement counts here, for a package that is installed with these extras."""
    return needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras or {""})


def find_closure(names: list[str]) -> dict[str, Distribution]:
    """Distributions that are installed for these requirements, by name."""
    found: dict[str, Distribution] = {}
    todo = [Requirement(name) for name in names]
    while todo:
        asked = todo.pop()
        name = re.sub(r"[-_.]+", "-", asked.name).lower()
        if name in found:
            continue
        try:
            found[name] = distribution(asked.name)
        except PackageNotFoundError:  # CUDA libraries of torch, say, in its CPU build
            continue
        todo += [r for r in map(Requirement, found[name].requires or ()) if applies(r, asked.extras)]
    return found


def measure(package: Distribution) -> float:
    """Size of what a distribution installed, MB."""
    paths = [Path(str(file.locate())) for file in package.files or ()]
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--write", action="store_true", help="put the table into docs/howto/speed.md")
    given = options.parse_args()
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    sizes = sorted(((measure(d), n) for n, d in find_closure(declared).items()), reverse=True)
    rest = sum(size for size, _ in sizes[SHOWN:])
    head = ("package", "MB")
    body = [(name, f"{size:,.0f}") for size, name in sizes[:SHOWN]]
    body += [(f"{len(sizes) - SHOWN} others", f"{rest:,.0f}"), ("all", f"{sum(size for size, _ in sizes):,.0f}")]
    print(plain(head, body))
    if given.write:
        write_text(PAGE, _between(PAGE.read_text(encoding="utf-8"), "size", markdown(head, body)))


if __name__ == "__main__":
    main()
