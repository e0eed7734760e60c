"""Measure how the package reads: names, docstrings, sizes of functions, files and folders.

    python tools/measure.py            # a table: now beside the stored earlier figures
    python tools/measure.py --list     # also every name and function that counts against an aim
    python tools/measure.py --store F  # write the figures to F, to print beside later ones

What counts:

- Pronoun-like names: the share of bound names (variables, arguments, functions, classes) that say
  how a value was come by, or point at it, without saying what it is: `each`, `found`, `told`.
- Shared names: the share of public functions at the top of a module whose name another module's
  public function has, too.
- Function length: lines of code from `def` to the end, without the docstring.
"""

import argparse
import ast
import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "unigeoseg"
BEFORE = Path(__file__).with_name("measured_before.json")
PRONOUNS = frozenset(
    """
    about again alike alone apart asked before beside both chosen done drawn each eyes fed found
    given heard held here him it its kept known least lesson lessons lost made meant mine most named
    now one ones other others ours own plain rest said same saying seen shown some stated strays
    such taken team that their theirs them there these this those told twin twins used wanted what
    where which who whole wish wishes written
    """.split()
)
"""Words that point at a value, or say that something was done with it, and name nothing."""
AIMS = {
    "pronoun-like names, %": 0.5,
    "shared function names, %": 5.0,
    "files in a folder, most": 16,
}


class Module:
    """One parsed file."""

    def __init__(self, path: Path) -> None:
        """Parse `path`."""
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)

    @property
    def name(self) -> str:
        """Its path below the package."""
        return self.path.relative_to(PACKAGE).as_posix()

    def bound_names(self) -> Iterator[tuple[str, int]]:
        """Every name that the module binds, with its line."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id, node.lineno
            elif isinstance(node, ast.arg):
                yield node.arg, node.lineno
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield node.name, node.lineno

    def public_functions(self) -> list[str]:
        """Names of the public functions at the top level."""
        return [
            node.name
            for node in self.tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and not node.name.startswith("_")
        ]

    def function_lengths(self) -> Iterator[tuple[int, str]]:
        """Lines of every function without its docstring, with its name."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                first = node.body[0]
                if ast.get_docstring(node) is not None:
                    lines -= (first.end_lineno or first.lineno) - first.lineno + 1
                yield lines, f"{self.name}:{node.lineno} {node.name}"


def percentile(values: list[int], share: float) -> int:
    """The value below which a share of the values lie."""
    return sorted(values)[min(len(values) - 1, round(share * (len(values) - 1)))]


def spread(name: str, values: list[int]) -> dict[str, float]:
    """Median, 90th percentile and maximum of some values, as named figures."""
    return {
        f"{name}, median": statistics.median(values),
        f"{name}, 90th percentile": percentile(values, 0.9),
        f"{name}, most": max(values),
    }


def shared_functions(modules: list[Module]) -> dict[str, list[str]]:
    """Modules that have a public function of each name that several have."""
    homes = defaultdict(list)
    for module in modules:
        for name in module.public_functions():
            homes[name].append(module.name)
    return {name: places for name, places in sorted(homes.items()) if len(places) > 1}


def measured(modules: list[Module]) -> dict[str, float]:
    """Every figure by its name."""
    names = [name for module in modules for name, _ in module.bound_names()]
    pronouns = sum(name.strip("_") in PRONOUNS for name in names)
    functions = [name for module in modules for name in module.public_functions()]
    shared = shared_functions(modules)
    folders = Counter(module.path.parent for module in modules)
    return {
        "files": len(modules),
        "bound names": len(names),
        "pronoun-like names, %": round(100 * pronouns / len(names), 2),
        "public functions": len(functions),
        "shared function names, %": round(
            100 * sum(len(places) for places in shared.values()) / len(functions), 1
        ),
        **spread("lines of a file", [module.text.count("\n") for module in modules]),
        **spread("lines of a function", [n for m in modules for n, _ in m.function_lengths()]),
        "folders": len(folders),
        "files in a folder, most": max(folders.values()),
    }


def offences(modules: list[Module], console: Console) -> None:
    """Print what counts against the aims."""
    for module in modules:
        lines = [f"{name}:{n}" for name, n in module.bound_names() if name.strip("_") in PRONOUNS]
        if lines:
            console.print(f"{module.name}: {' '.join(lines)}", highlight=False, soft_wrap=True)
    for name, places in shared_functions(modules).items():
        console.print(f"{name}(): {' '.join(places)}", highlight=False, soft_wrap=True)


def main() -> None:
    """Print the figures now beside the earlier ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", action="store_true", help="print every offence")
    parser.add_argument("--store", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    console = Console()
    modules = [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]
    figures = measured(modules)
    if options.store:
        options.store.write_text(json.dumps(figures, indent=1) + "\n")
    if options.list:
        offences(modules, console)
    earlier = json.loads(BEFORE.read_text()) if BEFORE.exists() else {}
    table = Table("", "before", "now", "aim")
    for name, value in figures.items():
        aim = f"<= {AIMS[name]:g}" if name in AIMS else ""
        table.add_row(name, f"{earlier[name]:g}" if name in earlier else "", f"{value:g}", aim)
    console.print(table)


if __name__ == "__main__":
    main()
