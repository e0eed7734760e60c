"""The architecture, as a test: who may import whom, public names, cost of the import."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import unigeoseg

ROOT = Path(unigeoseg.__file__).parent
LAYERS = (
    *("errors hub geo prompt sample data model views choice segmentation stream".split()),
    *("segment survey batch bench train cli".split()),
)
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


def imported(path: Path) -> Iterator[str]:
    """Absolute names of the modules that a file imports, anywhere in it."""
    package = ["unigeoseg", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *(node.module or "").split(".")]).strip(".")
            # "from unigeoseg import x" may import a layer by its name.
            yield from (
                (f"{module}.{alias.name}" for alias in node.names)
                if module == "unigeoseg"
                else [module]
            )


def layer_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def files() -> list[Path]:
    return [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def package_imports() -> set[tuple[str, str]]:
    """Pairs of layers, importer before imported."""
    return {
        (layer_of(path), name.split(".")[1])
        for path in files()
        for name in imported(path)
        if name.startswith("unigeoseg.")
    }


def libraries(layer: str) -> set[str]:
    return {
        name.split(".")[0] for path in files() if layer_of(path) == layer for name in imported(path)
    }


def test_every_module_belongs_to_a_layer():
    assert {layer_of(path) for path in files()} <= set(LAYERS) | {"__main__"}


def test_imports_point_left():
    order = {layer: at for at, layer in enumerate(LAYERS)} | {"__main__": len(LAYERS)}
    upward = sorted(
        (importer, name)
        for importer, name in package_imports()
        if name in order and order[name] > order[importer]
    )
    assert not upward


def test_data_and_model_do_not_know_each_other():
    assert not {("data", "model"), ("model", "data")} & package_imports()


def test_each_layer_keeps_to_its_libraries():
    assert not {"torch", "numpy", "rasterio"} & libraries("hub")
    assert "torch" not in libraries("geo")
    assert "torch" not in libraries("data")
    assert "torch" not in libraries("stream")
    assert "rasterio" not in libraries("model")


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
