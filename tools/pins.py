"""Record what must not change when code is moved, and compare it with an earlier record.

Pins are taken of real runs: the shards of one small build, the files of one scene by text, class
list, click, box and prompt file, one training that is interrupted and resumed, and the parity
table (where `UNIGEOSEG_GOLDENS` names the golden tensors). A record belongs to one kind of
processor: rounding differs between them.

    python tools/pins.py record pins.json    # before a change
    python tools/pins.py compare pins.json   # after it: prints every difference
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / part) for part in ("src", "tests/support", "tests/support/models")]

import builds  # noqa: E402
import sets  # noqa: E402
from mixes import only  # noqa: E402
from networks import tiny_config, tiny_network, tiny_processor  # noqa: E402

from unigeoseg.train.config import TrainConfig  # noqa: E402
from unigeoseg.train.input.batch import BatchConfig  # noqa: E402
from unigeoseg.train.input.batch_maker import BatchMaker  # noqa: E402
from unigeoseg.train.input.training_set import TrainingSet  # noqa: E402
from unigeoseg.train.loop import run_training_loop  # noqa: E402
from unigeoseg.train.trainer import Trainer  # noqa: E402

SIDE = 1500
PROMPTS = {
    "text": ["the buildings"],
    "question": ["what could carry traffic?"],
    "one": ["the largest building"],
    "classes": ["--classes", "building,water"],
    "click": ["--point", "400,300"],
    "boxes": ["--box", "380,280,460,350", "--box", "60,60,180,140"],
}


def command(*arguments: str) -> str:
    """Run the command line of this checkout and give what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "unigeoseg.cli", *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: {done.stderr}")
    return done.stdout


def digest(content: bytes) -> str:
    """The first 16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(content).hexdigest()[:16]


def pin_build(folder: Path) -> dict[str, str]:
    """Hash of every file of a small build."""
    builds.built(builds.write_towns(folder / "towns"), folder / "built")
    return {name: digest(content) for name, content in builds.files(folder / "built").items()}


def write_scene(path: Path) -> None:
    """Write a made scene of roofs and a river, 0.5 m a pixel."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(70, 110, (3, SIDE, SIDE)).astype(np.uint8)
    for _ in range(60):
        x, y = rng.integers(0, SIDE - 80, 2)
        width, height = rng.integers(20, 80, 2)
        pixels[:, y : y + height, x : x + width] = rng.integers(150, 255, (3, 1, 1))
    pixels[:, 700:760] = np.array([20, 40, 140], np.uint8)[:, None, None]
    options = {"crs": "EPSG:32650", "transform": rasterio.Affine(0.5, 0, 5e5, 0, -0.5, 44e5)}
    size = {"width": SIDE, "height": SIDE, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", photometric="RGB", **size, **options) as file:
        file.write(pixels)


def pin_scene(folder: Path) -> dict[str, str]:
    """Hash of the mask's pixels and of the outlines of every kind of prompt."""
    scene, places = folder / "scene.tif", folder / "places.geojson"
    write_scene(scene)
    with rasterio.open(scene) as file:
        x, y = file.xy(300, 400, offset="ul")
    geometry = {"type": "Point", "coordinates": [x, y]}
    feature = {"type": "Feature", "properties": {"street": "A"}, "geometry": geometry}
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32650"}}
    content = {"type": "FeatureCollection", "crs": crs, "features": [feature]}
    places.write_text(json.dumps(content))
    pins = {}
    for name, prompt in {**PROMPTS, "file": ["--prompts", str(places)]}.items():
        mask, outlines = folder / f"{name}.tif", folder / f"{name}.gpkg"
        command("segment", str(scene), *prompt, "-o", str(mask), "-o", str(outlines))
        with rasterio.open(mask) as file:
            pins[f"{name} pixels"] = digest(file.read().tobytes())
            pins[f"{name} grid"] = f"{file.crs} {tuple(file.transform)[:6]}"
            pins[f"{name} tags"] = " ".join(sorted(file.tags()))
        meta, _, shapes, fields = pyogrio.raw.read(outlines)
        pins[f"{name} outlines"] = digest(b"".join(sorted(shapes)))
        for column, values in zip(meta["fields"], fields, strict=True):
            pins[f"{name} column {column}"] = digest(str(sorted(map(str, values))).encode())
    return pins


def pin_training(folder: Path) -> dict[str, str]:
    """Hash of the weights after a training that was interrupted and resumed."""
    torch.set_num_threads(1)
    training_set = TrainingSet.of([sets.write_shards(folder, images=8)], "train", folder / "cache")
    batch = only(
        BatchConfig(sizes=(64,), images=2, prompts=3, families={}), box=0.4, point=0.3, category=0.3
    )
    config = TrainConfig(
        model=tiny_config(), batch=batch, steps=12, lr=3e-3, encoder_lr=1e-3, save_every=6
    )

    def parts() -> tuple[Trainer, BatchMaker]:
        processor = tiny_processor()
        maker = BatchMaker(training_set, processor, batch, steps=config.steps, seed=config.seed)
        return Trainer(tiny_network(), processor, config), maker

    first, maker = parts()
    losses = [first.train_step(maker.batch(step)).total.item() for step in range(6)]
    first.save(folder / "cut")
    second, maker = parts()
    second.resume(folder / "cut")
    run_training_loop(second, maker, folder / "cut")
    weights = b"".join(value.numpy().tobytes() for value in second.network.state_dict().values())
    return {"losses": repr(losses), "weights": digest(weights)}


def pin_parity(_: Path) -> dict[str, str]:
    """The last line of the parity table."""
    goldens = os.environ.get("UNIGEOSEG_GOLDENS")
    return {"table": command("bench", "parity", "--goldens", goldens).strip()} if goldens else {}


PINS = {"build": pin_build, "scene": pin_scene, "training": pin_training, "parity": pin_parity}


def taken() -> dict[str, str]:
    """Every pin by its name."""
    pins = {}
    for kind, pin in PINS.items():
        with tempfile.TemporaryDirectory() as folder:
            pins |= {f"{kind}: {name}": value for name, value in pin(Path(folder)).items()}
    return pins


def main() -> None:
    """Record or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("record", "compare"))
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    pins = taken()
    if options.what == "record":
        options.file.write_text(json.dumps(pins, indent=1) + "\n")
        return
    before = json.loads(options.file.read_text())
    changed = [name for name in sorted(before | pins) if before.get(name) != pins.get(name)]
    for name in changed:
        print(f"{name}: was {before.get(name)}, is {pins.get(name)}")
    print(f"{len(pins)} pins, {len(changed)} differ")
    raise SystemExit(bool(changed))


if __name__ == "__main__":
    main()
