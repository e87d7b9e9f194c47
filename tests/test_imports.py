"""Imports: no circle of any kind, and nothing that writes kernels is missing from the hash they are kept under."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import ephysfit
from ephysfit import compiling
from ephysfit.kernels import generate
from ephysfit.kernels.variant import Variant
from ephysfit.models.lif import LIF
from ephysfit.neuron.fingerprint import PACKAGE, SOURCES, digest, files

#: at the top of a module; inside functions, when they are called; for type checkers alone
KINDS = ("top", "function", "typing")
ROOT = Path(ephysfit.__file__).parent

Graph = dict[str, set[str]]


def modules_of(root: Path) -> dict[str, Path]:
    """Files of a package by dotted name."""
    places = {path: path.relative_to(root).with_suffix("").parts for path in root.rglob("*.py")}
    return {".".join((root.name, *parts)).removesuffix(".__init__"): path for path, parts in places.items()}


def imported(tree: ast.AST, module: str = "", package: bool = False, kind: str = "top") -> Iterator[tuple[str, str]]:
    """(dotted name, kind) of every import below a node of a module's syntax tree."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, kind) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: len(module.split(".")) - node.level + package] if node.level else []
            home = ".".join([*above, *filter(None, [node.module])])
            yield from ((f"{home}.{alias.name}", kind) for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from imported(ast.Module(node.body, []), module, package, "typing" if kind == "top" else kind)
            yield from imported(ast.Module(node.orelse, []), module, package, kind)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imported(node, module, package, "function" if kind == "top" else kind)
        else:
            yield from imported(node, module, package, kind)


def nearest(name: str, modules: dict[str, Path]) -> str:
    """The module that a dotted name is in; empty for one of another package."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def graph_of(root: Path, kinds: tuple[str, ...] = KINDS) -> Graph:
    """Which module imports which. The package itself is left out: it looks its public names up when they are asked for,
    and every module is in it."""
    modules = modules_of(root)
    found: Graph = {}
    for name, path in modules.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {nearest(n, modules) for n, kind in imported(tree, name, path.stem == "__init__") if kind in kinds}
        found[name] = names - {"", name, root.name}
    del found[root.name]
    return found


def circle(graph: Graph) -> list[str]:
    """A circle of the graph, from a module back to itself; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def reached(graph: Graph, start: set[str], stop: frozenset[str] = frozenset()) -> set[str]:
    """What some modules import, and what those import in turn; what `stop` imports does not count."""
    seen, todo = set(start), list(start)
    while todo:
        found = set() if todo[-1] in stop else graph[todo[-1]] - seen
        todo.pop()
        seen |= found
        todo += found
    return seen


def public_names(path: Path) -> set[str]:
    """Public names that a module takes from the package itself, which `graph_of` leaves out."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    taken = {a.name for n in nodes if isinstance(n, ast.ImportFrom) and n.module == "ephysfit" for a in n.names}
    known = {a.asname or a.name for n in nodes if isinstance(n, ast.Import) for a in n.names if a.name == "ephysfit"}
    looked_up = {n.attr for n in nodes if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
                 and n.value.id in known}  # fmt: skip
    return (taken | looked_up) & set(ephysfit.__all__)


class TestCircles:
    @pytest.mark.parametrize("kinds", [KINDS[:1], KINDS[:2], KINDS], ids=" and ".join)
    def test_there_is_none(self, kinds):
        found = circle(graph_of(ROOT, kinds))
        assert not found, f"a circle of imports: {' -> '.join(found)}"

    def test_only_methods_of_a_fit_climb_by_way_of_the_public_names(self):
        above = ("ephysfit", "ephysfit.cli")  # the command line stands above all public names
        modules = {n: path for n, path in modules_of(ROOT).items() if n != above[0] and not n.startswith(above[1])}
        climbs = {(name, used) for name, path in modules.items() for used in public_names(path)}
        home = "ephysfit.fitting.fit_result"
        # `Fit.export` is `ephysfit.export`, and so on: methods that people look for where they have the object
        assert climbs == {
            (home, "export"), (home, "write_nwb"), (home, "plot"), ("ephysfit.data.recording", "plot"),
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("from made_up.low import x", "top"),
            ("import made_up.low", "top"),
            ("from . import low", "top"),
            ("from .low import x", "top"),
            ("try:\n    from made_up import low\nexcept ImportError:\n    pass", "top"),
            ("class A:\n    def f(self):\n        from made_up.low import x", "function"),
            ("async def f():\n    import made_up.low", "function"),
            ("if TYPE_CHECKING:\n    from made_up.low import x", "typing"),
            ("if typing.TYPE_CHECKING:\n    from made_up import low\nelse:\n    low = None", "typing"),
        ],
    )
    def test_one_of_each_kind_is_found(self, tmp_path, text, kind):
        package = _made_up(tmp_path, high=text, low="from made_up.middle import y", middle="import made_up.high")
        known = KINDS[: KINDS.index(kind) + 1]
        assert set(circle(graph_of(package, known))) == {f"made_up.{name}" for name in ("high", "low", "middle")}
        assert circle(graph_of(package, tuple(k for k in KINDS if k != kind))) == []

    def test_a_package_within_the_package_is_a_module_like_others(self, tmp_path):
        package = _made_up(tmp_path, low="from made_up.part.inner import x")
        (package / "part").mkdir()
        (package / "part" / "__init__.py").write_text("from ..low import y\n")
        (package / "part" / "inner.py").write_text("from made_up.part import y\n")
        assert set(circle(graph_of(package))) == {"made_up.low", "made_up.part", "made_up.part.inner"}

    def test_who_only_imports_downwards_is_in_none(self, tmp_path):
        package = _made_up(tmp_path, high="from . import middle, low\nimport os.path", middle="from made_up import low")
        assert circle(graph_of(package)) == []
        assert graph_of(package)["made_up.high"] == {"made_up.middle", "made_up.low"}


#: imported inside functions because not every installation has them: the extras with what they bring, users of Unix
OPTIONAL = {
    "IPython", "bokeh", "cma", "dask_jobqueue", "distributed", "duckdb", "efel", "grp", "igor2", "nir", "nixio",
    "panel",
    "pebble",
    "pwd", "pyabf", "pyarrow", "requests", "sklearn", "submitit", "tornado", "urllib3",
}  # fmt: skip
#: most other imports inside functions; each is there because of weight or of a climb, and says so
MOST_DEFERRED = 41
#: rooms whose imports inside functions need not say why yet
UNTOLD: tuple[str, ...] = ()


@dataclass(frozen=True)
class Deferred:
    """An import inside a function: where, of what (its first name), and whether a comment says why."""

    path: Path
    line: int
    name: str
    told: bool


def deferred(root: Path) -> Iterator[Deferred]:
    """Imports inside functions of a package, one a statement."""
    for path in sorted(root.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        lines, found = text.splitlines(), {}
        for function in ast.walk(ast.parse(text)):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                found |= {n.lineno: n for n in ast.walk(function) if isinstance(n, ast.Import | ast.ImportFrom)}
        before, told = -1, False
        for number, node in sorted(found.items()):
            name = f"{node.module}.{node.names[0].name}" if isinstance(node, ast.ImportFrom) else node.names[0].name
            grouped = told and number - before <= 2  # one comment serves imports that stand together
            told = "#" in lines[number - 1] or "#" in lines[number - 2] or grouped
            before = number
            yield Deferred(path, number, name, told)


class TestImportsInFunctions:
    @staticmethod
    def found() -> list[Deferred]:
        """Those that are neither optional packages nor modules that import one at their top."""
        modules = modules_of(ROOT)
        needs = {name for name, path in modules.items()
                 for used, _ in imported(ast.parse(path.read_text("utf-8")), name)
                 if used.partition(".")[0] in OPTIONAL and _ == "top"}  # fmt: skip
        return [d for d in deferred(ROOT) if d.name.partition(".")[0] not in OPTIONAL
                and nearest(d.name, modules) not in needs]  # fmt: skip

    def test_there_are_few(self):
        rooms = Counter(d.path.relative_to(ROOT).parts[0] for d in self.found())
        assert rooms.total() <= MOST_DEFERRED, rooms

    def test_each_says_why(self):
        silent = [f"{d.path.relative_to(ROOT)}:{d.line}: {d.name}" for d in self.found()
                  if not d.told and d.path.relative_to(ROOT).parts[0] not in UNTOLD]  # fmt: skip
        assert silent == []


def _made_up(folder: Path, **texts: str) -> Path:
    package = folder / "made_up"
    package.mkdir()
    for name, text in {"__init__": "from made_up.high import x", "high": "", "low": "", "middle": "", **texts}.items():
        (package / f"{name}.py").write_text(text + "\n")
    return package


class TestHashOfKernels:
    """What a kernel is kept under must change with whatever made it, or a stale one would be loaded in silence."""

    @pytest.mark.parametrize("parts", [SOURCES, generate.INLINED], ids=["writes", "inlined"])
    def test_a_byte_more_in_any_declared_file_changes_it(self, tmp_path, parts):
        names = _copied(tmp_path, parts)
        whole = digest(parts, tmp_path)
        assert whole == digest(parts)
        for name in names:
            path = tmp_path / name
            before = path.read_bytes()
            path.write_bytes(before + b"\n")
            assert digest(parts, tmp_path) != whole, name
            path.write_bytes(before)
        assert digest(parts, tmp_path) == whole

    def test_so_does_a_file_that_moves_into_a_folder_of_its_own(self, tmp_path):
        _copied(tmp_path, SOURCES)
        whole = digest(SOURCES, tmp_path)
        deep = tmp_path / "kernels" / "deeper"
        deep.mkdir(parents=True)
        moved = (tmp_path / "kernels" / "writer.py").rename(deep / "writer.py")
        at_its_new_place = digest(SOURCES, tmp_path)
        assert at_its_new_place != whole
        moved.write_bytes(moved.read_bytes() + b"\n")
        assert digest(SOURCES, tmp_path) not in (whole, at_its_new_place)

    def test_a_declared_file_that_is_gone_is_an_error(self, tmp_path):
        _copied(tmp_path, generate.INLINED)
        (tmp_path / generate.INLINED[0]).unlink()
        with pytest.raises(FileNotFoundError):
            digest(generate.INLINED, tmp_path)

    def test_whatever_the_writers_of_kernels_import_is_declared(self):
        modules = modules_of(ROOT)
        writers = {
            name for name, path in modules.items() if re.search(r"^@remembered_on_disk$", path.read_text("utf-8"), re.M)
        }
        assert len(writers) >= 3
        needed = {modules[name] for name in reached(graph_of(ROOT), writers)}
        assert needed - set(files(SOURCES)) == set()
        assert ROOT / "kernels" / "writer.py" in needed  # by an import inside a function

    def test_whatever_a_kernel_imports_is_inlined_in_its_hash(self):
        texts = [generate.source(LIF, "forward", Variant(lanes=lanes)) for lanes in (1, 8)]
        texts.append(generate.source(LIF, "information", Variant(spikes="forced", moving=(0,))))
        modules = modules_of(ROOT)
        named = {nearest(name, modules) for text in texts for name, _ in imported(ast.parse(text))} - {""}
        assert {"ephysfit.compiling", "ephysfit.kernels.scalar_math", "ephysfit.kernels.simd"} <= named
        own = frozenset({"ephysfit.compiling"})  # in the name of every machine code instead: the next test
        needed = {modules[name] for name in reached(graph_of(ROOT), named, stop=own) - own}
        assert needed - set(files(generate.INLINED)) == set()

    def test_machine_code_is_kept_under_the_module_that_asks_for_it(self, tmp_path):
        path = tmp_path / "compiling.py"
        path.write_bytes(Path(compiling.__file__).read_bytes() + b"\n")
        spec = importlib.util.spec_from_file_location("another_compiling", path)
        another = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(another)
        assert another._VERSIONS != compiling._VERSIONS


def _copied(folder: Path, parts: tuple[str, ...]) -> list[Path]:
    names = [path.relative_to(PACKAGE) for path in files(parts)]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((PACKAGE / name).read_bytes())
    return names
