"""The architecture, as a test: who may import whom, sizes of rooms, public names, import cost."""

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from places import TESTS

import unigeoseg

ROOT = Path(unigeoseg.__file__).parent
LAYERS = (
    ("errors",),
    ("runtime",),
    ("geo",),
    ("prompt",),
    ("sample",),
    ("report",),
    ("data", "model"),
    ("predict",),
    ("evaluate", "train"),
    ("profiling", "parity"),
    ("cli",),
)
"""Rooms of one layer do not know each other; each may import what stands before it."""
DATA = (
    *("ledger taxonomy sources patches programs candidates instructions vlm".split()),
    *("store builder inspect exchange".split()),
)
"""Rooms of the data engine in the order in which they may import each other."""
MODEL = (
    "config values device precision layers connector lkm tate target processor".split(),
    ["nano", "base"],
    "build network loss point_loss optimize".split(),
    ["io"],
)
"""Modules and rooms of the network: what both networks are made of, each network's own parts,
what is made of either, files. What stands in a row is seen from the rows below it."""
FILES_OF_A_FOLDER = 16
REPOSITORY = ("test_layers.py", "test_repository.py")
"""Tests of the package as a whole."""
PUBLIC = {
    "Box",
    "Grid",
    "Point",
    "Prompt",
    "Raster",
    "Sample",
    "Segmenter",
    "Task",
    "UniGeoSegError",
    "__version__",
}


def module_name(path: Path) -> str:
    """The dotted name of a module, without the package's; a package by its own name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def files() -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


MODULES = {module_name(path): path for path in files()}


def imported(path: Path) -> Iterator[str]:
    """Absolute names that a file imports, anywhere in it: in functions and for types, too."""
    package = ["unigeoseg", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *(node.module or "").split(".")]).strip(".")
            yield from (f"{module}.{alias.name}" for alias in node.names)


def own_imports(path: Path) -> set[str]:
    """Modules of the package that a file imports, by their names without the package's."""
    found = set()
    for name in imported(path):
        package, _, module = name.partition(".")
        if package == "unigeoseg":
            found.add(module if module in MODULES else module.rpartition(".")[0])
    return found & MODULES.keys()


IMPORTS = {name: own_imports(path) for name, path in MODULES.items()}


def room_of(module: str) -> str:
    return module.split(".")[0]


def libraries(room: str) -> set[str]:
    return {
        name.split(".")[0]
        for module, path in MODULES.items()
        if room_of(module) == room
        for name in imported(path)
    }


def test_every_module_belongs_to_a_layer():
    assert set(map(room_of, MODULES)) == {room for layer in LAYERS for room in layer}


def test_imports_point_down():
    height = {room: at for at, layer in enumerate(LAYERS) for room in layer}
    upward = [
        (importer, module)
        for importer, modules in IMPORTS.items()
        for module in modules
        if room_of(importer) != room_of(module)
        and height[room_of(importer)] <= height[room_of(module)]
    ]
    assert not upward


def test_rooms_of_the_data_engine_import_in_their_order():
    height = {room: at for at, room in enumerate(DATA)}
    upward = [
        (importer, module)
        for importer, modules in IMPORTS.items()
        for module in modules
        if importer.startswith("data.")
        and module.startswith("data.")
        and height[importer.split(".")[1]] < height[module.split(".")[1]]
    ]
    assert not upward


def test_modules_of_the_network_import_in_their_order():
    height = {name: at for at, row in enumerate(MODEL) for name in row}
    inside = [
        (importer.split(".")[1], module.split(".")[1])
        for importer, modules in IMPORTS.items()
        for module in modules
        if importer.startswith("model.") and module.startswith("model.")
    ]
    assert height.keys() == {name.split(".")[1] for name in MODULES if name.startswith("model.")}
    assert not [pair for pair in inside if height[pair[0]] < height[pair[1]]]
    assert not {("nano", "base"), ("base", "nano")} & set(inside)


def test_no_module_imports_itself_through_others():
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' -> '.join(error.args[1])}")


def test_no_two_folders_import_each_other():
    folders = {module: module.rpartition(".")[0] for module in MODULES}
    pairs = {
        (folders[importer], folders[module])
        for importer, modules in IMPORTS.items()
        for module in modules
        if not ROOT.joinpath(*module.split(".")).is_dir()
    }
    # for a folder and one inside it, the test of circles holds the order module by module
    assert not {pair for pair in pairs if pair[::-1] in pairs and not _is_nested(*pair)}


def _is_nested(one: str, other: str) -> bool:
    """Whether two folders are the same, or one lies inside the other; all lie in the package's."""
    shorter, longer = sorted((one, other), key=len)
    return not shorter or f"{longer}.".startswith(f"{shorter}.")


def test_each_room_keeps_to_its_libraries():
    assert not {"torch", "numpy", "rasterio"} & libraries("runtime")
    assert "torch" not in libraries("geo")
    assert "torch" not in libraries("data")
    assert "torch" not in libraries("report")
    assert "rasterio" not in libraries("model")


@pytest.mark.parametrize("root", [ROOT, TESTS], ids=["package", "tests"])
def test_folders_are_small(root):
    counts = Counter(path.parent for path in root.rglob("*.py"))
    assert not {path: count for path, count in counts.items() if count > FILES_OF_A_FOLDER}


def test_tests_mirror_the_package():
    """`tests/a/test_b.py`, or `test_b_topic.py`, tests `unigeoseg/a/b.py` or the package `a/b`."""
    strays = []
    for path in TESTS.rglob("test_*.py"):
        folder = ROOT / path.parent.relative_to(TESTS)
        words = path.stem.removeprefix("test_").split("_")
        names = ["_".join(words[:count]) for count in range(len(words), 0, -1)]
        known = any((folder / f"{name}.py").exists() or (folder / name).is_dir() for name in names)
        if not known and path.parent.name != "end_to_end" and path.name not in REPOSITORY:
            strays.append(path.relative_to(TESTS).as_posix())
    assert not strays


def test_public_names():
    assert set(unigeoseg.__all__) == PUBLIC
    assert set(dir(unigeoseg)) >= PUBLIC
    with pytest.raises(AttributeError, match="no attribute 'Segment'"):
        _ = unigeoseg.Segment


@pytest.mark.parametrize("name", sorted(PUBLIC - {"__version__"}))
def test_public_names_load(name):
    assert getattr(unigeoseg, name).__name__ == name


def test_import_is_light():
    heavy = "{'torch', 'rasterio', 'numpy', 'cv2', 'shapely'} & set(sys.modules)"
    prompt = "{'torch', 'rasterio'} & set(sys.modules)"
    code = (
        f"import sys, unigeoseg; assert not {heavy}, {heavy};"
        f"unigeoseg.Prompt, unigeoseg.Sample; assert not {prompt}, {prompt}"
    )
    _run(code)


def test_a_dataset_is_read_without_the_builder():
    _run(
        "import sys, unigeoseg.data.store.dataset;"
        "built = [m for m in sys.modules if m.startswith('unigeoseg.data.builder')];"
        "assert not built, built"
    )


def test_loading_nano_imports_no_compiler():
    # PyTorch builds networks without values by it, and its import takes longer than Nano's loading
    _run(
        "import sys, unigeoseg; unigeoseg.Segmenter.from_pretrained();"
        "assert 'torch._dynamo' not in sys.modules"
    )


def _run(code: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
