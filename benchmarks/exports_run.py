"""Runs exported cells in their simulators; needs none of ephysfit, but brian2, nest, nestml, pyneuroml (java), nir.

    PYTHON benchmarks/exports_run.py DIR [target ...]

DIR is what ``benchmarks/exports.py write`` made. Spike times go to ``*.found.json`` beside each export.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np


def run_python(folder: Path, item: dict, given: dict) -> list[float]:
    simulate = runpy.run_path(str(folder / item["main"]))["simulate"]
    if "cells" in item:
        return join({name: simulate(given["current"], name) for name in item["cells"]}, item, given)
    return simulate(given["current"]).tolist()


def run_loader(folder: Path, item: dict, given: dict) -> list[float]:
    """A population by the script that loads it, which gives the spike times of each cell by name."""
    simulate = runpy.run_path(str(folder / item["main"]))["simulate"]
    return join(simulate(given["current"], **{n: item[n] for n in ("step",) if n in item}), item, given)


def join(trains: dict[str, np.ndarray], item: dict, given: dict) -> list[float]:
    """Trains of the cells of a population as one, one cell after the other; of noisy runs their counts."""
    if "count" in item:
        return [float(len(trains[name])) for name in item["cells"]]
    length = len(given["current"]) * item["dt"]
    return np.concatenate([k * length + np.asarray(trains[name]) for k, name in enumerate(item["cells"])]).tolist()


def run_brian2(folder: Path, item: dict, given: dict) -> list[float]:
    import brian2

    brian2.prefs.codegen.target = "numpy"
    brian2.BrianLogger.log_level_error()
    if "cells" in item:
        return run_loader(folder, item, given)
    return runpy.run_path(str(folder / item["main"]))["simulate"](given["current"])[0].tolist()


def run_native(item: dict, given: dict) -> list[float]:
    """A neuron of NEST itself, whose values ephysfit has imported; its own models need no module."""
    import nest

    nest.ResetKernel()
    nest.resolution = item["dt"]
    neuron, recorder = nest.Create(item["native"], params=item["values"]), nest.Create("spike_recorder")
    times = np.round((np.arange(len(given["current"])) + 1) * item["dt"], 6)
    source = nest.Create(
        "step_current_generator", params={"amplitude_times": times, "amplitude_values": given["current"]}
    )
    nest.Connect(source, neuron, syn_spec={"delay": item["dt"]})
    nest.Connect(neuron, recorder)
    nest.Simulate((len(given["current"]) + 2) * item["dt"])
    # a value of the generator is felt two steps later, and NEST names a step by its end
    return ((np.rint(recorder.events["times"] / item["dt"]) - 3 + 0.5) * item["dt"]).tolist()


def run_nest(folder: Path, item: dict, given: dict) -> list[float]:
    """In a process of its own: NEST does not forget models; built before, all in one go."""
    if "native" in item:
        return run_native(item, given)
    alone = "cells" not in item
    script = folder / (Path(item["main"]).stem + "_nest.py" if alone else item["main"])
    if "set" in item:  # parameters of the model after it was built
        run = (
            "nest = found['nest']\n"
            "nest.ResetKernel()\n"
            "nest.resolution = found['DT']\n"
            "nest.Install('exported_module')\n"
            "group = nest.Create(found['MODEL'])\n"
            f"group.set({item['set']!r})\n"
            "trains = {'': (found['run'](group, current)[0] + 0.5) * found['DT']}\n"
        )
    else:
        run = f"trains = {{'': found['simulate'](current)}} if {alone} else found['simulate'](current)\n"
    code = (
        "import runpy, sys, json, numpy as np\n"
        f"found = runpy.run_path({str(script)!r})\n"
        f"current = np.load({str(folder / (item['key'] + '.npz'))!r})['current']\n"
        "found['simulate'].__globals__['MODULE'] = 'exported_module'\n"
        f"{run}"
        "print('SPIKES', json.dumps({name: train.tolist() for name, train in trains.items()}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    found = re.search(r"^SPIKES (.*)$", done.stdout, flags=re.M)
    if not found:
        raise RuntimeError((done.stderr or done.stdout)[-300:])
    trains = json.loads(found[1])
    return trains[""] if alone else join(trains, item, given)


def build_nest(folder: Path, items: list[dict]) -> None:
    """All models as one module; that of a population lies beside its script."""
    sources = [at for i in items if i["main"] and (at := (folder / i["main"]).with_suffix(".nestml")).exists()]
    if not sources:
        return
    from pynestml.frontend.pynestml_frontend import generate_nest_target

    generate_nest_target(
        input_path=[str(at) for at in sources], target_path=str(folder / "nest_build"),
        module_name="exported_module", logging_level="ERROR", codegen_opts={"nest_path": sys.prefix},
    )  # fmt: skip


def run_neuroml(folder: Path, item: dict, given: dict) -> list[float]:
    """jNeuroML on the same pieces of current, each a pulse generator."""
    import pyneuroml

    if "cells" in item:
        return run_loader(folder, item, given)
    (jar,) = (Path(pyneuroml.__file__).parent / "lib").glob("jNeuroML-*-jar-with-dependencies.jar")
    run = (folder / (Path(item["main"]).stem + "_run.xml")).read_text()
    levels, piece = given["pieces"][:, 0], item["piece"]
    pulses = "".join(
        f'<pulseGenerator id="c{k}" delay="{k * piece}ms" duration="{piece}ms" amplitude="{a}pA"/>'
        for k, a in enumerate(levels)
    )
    ends = "".join(f'<explicitInput target="pop[0]" input="c{k}" destination="synapses"/>' for k in range(len(levels)))
    run = re.sub(r"<pulseGenerator[^>]*/>", pulses, run)
    run = re.sub(r"<explicitInput[^>]*/>", ends, run)
    run = re.sub(r'length="[^"]*" step="[^"]*"', f'length="{len(levels) * piece}ms" step="{item["dt"]}ms"', run)
    at = folder / f"LEMS_{item['key']}.xml"
    at.write_text(run)
    command = ["java", "-Xmx400M", "-Djava.awt.headless=true", "-jar", str(jar), at.name, "-nogui"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    (name,) = re.findall(r'fileName="([^"]*\.spikes)"', run)
    if not (folder / name).exists():
        raise RuntimeError(re.sub(r"\s+", " ", " ".join(re.findall(r"Error: .*", done.stdout)))[:300])
    times = np.loadtxt(folder / name, ndmin=2)
    return (times[:, 0] * 1e3).tolist() if times.size else []


def run_nir(folder: Path, item: dict, given: dict) -> list[float]:
    """The equation that NIR gives nir.LIF, tau v' = v_leak - v + r I, solved piece by piece for all cells."""
    import nir

    node = nir.read((folder / item["main"]).with_suffix(".nir")).nodes["neuron"]
    tau, r, leak, threshold, reset = (
        np.ravel(getattr(node, n)).astype(float) for n in ("tau", "r", "v_leak", "v_threshold", "v_reset")
    )
    names = json.loads(node.metadata["cells"]) if "cells" in item else [""]
    v, dt, out = leak, item["dt"], {name: [] for name in names}
    for n, current in enumerate(given["current"]):
        goal = leak + r * current
        v = goal + (v - goal) * np.exp(-dt / tau)
        for k in np.flatnonzero(v >= threshold):
            out[names[k]].append((n + 0.5) * dt)
        v = np.where(v >= threshold, reset, v)
    return join(out, item, given) if "cells" in item else out[""]


def mend_nest_config() -> None:
    """The wheel of nest-simulator points to the folder where it was built; make its nest-config point here."""
    import importlib.util

    found = importlib.util.find_spec("nest")
    config = Path(sys.prefix) / "bin" / "nest-config"
    if found is None or found.origin is None or not config.exists():
        return
    home = Path(found.origin).parent
    text = config.read_text()
    if str(home) in text:
        return
    text = re.sub(r"^prefix=.*$", f'prefix="{home}"', text, flags=re.M)
    text = re.sub(r"-I\S*/include/nest", f"-I{home}/include/nest", text)
    text = re.sub(r'echo "-L[^"]*"', 'echo ""', text)
    text = re.sub(r'"[^"]*/g\+\+"', '"g++"', text)
    text = text.replace('-std=c++20"', '-std=c++20 -D_GLIBCXX_USE_CXX11_ABI=0"').replace('echo "lib64"', 'echo "lib"')
    config.write_text(text)


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    plan = [p for p in json.loads((folder / "plan.json").read_text()) if "main" in p]
    wanted = sys.argv[2:] or ["python", "brian2", "neuroml", "nir", "nest"]
    if "nest" in wanted:
        home = Path(sysconfig.get_path("platlib")) / "nest" / "lib" / "nest"
        if str(home) not in os.environ.get("LD_LIBRARY_PATH", ""):  # read when a process starts
            os.environ["LD_LIBRARY_PATH"] = f"{home}:{os.environ.get('LD_LIBRARY_PATH', '')}"
            os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
            os.execv(sys.executable, [sys.executable, *sys.argv])
        mend_nest_config()
        build_nest(folder, [p for p in plan if p["to"] == "nest"])
    runners = {"python": run_python, "brian2": run_brian2, "neuroml": run_neuroml, "nir": run_nir, "nest": run_nest}
    for item in plan:
        if item["to"] not in wanted:
            continue
        given = dict(np.load(folder / f"{item['key']}.npz"))
        try:
            found = {"spikes": runners[item["to"]](folder, item, given)}
        except Exception as error:  # whatever a simulator raises goes into the table
            found = {"error": f"{type(error).__name__}: {error}"}
        (folder / f"{item['key']}.found.json").write_text(json.dumps(found))
        print(item["key"], found.get("error", len(found.get("spikes", []))), flush=True)


if __name__ == "__main__":
    main()
