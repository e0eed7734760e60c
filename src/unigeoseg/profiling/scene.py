"""Profiling of a whole scene: seconds of each stage, and peak memory."""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from unigeoseg.geo.raster import open_scene
from unigeoseg.geo.tiling import plan_tiles
from unigeoseg.predict.scene_to_files import SceneJob, segment_to_files
from unigeoseg.predict.segmenter import Segmenter
from unigeoseg.predict.tile_pipeline import Progress
from unigeoseg.prompt import Prompt
from unigeoseg.report.document import Bold, Table
from unigeoseg.report.figure import new_figure, save_figure
from unigeoseg.runtime.records import record_from_json, record_json
from unigeoseg.runtime.stage_clock import StageClock

_BLOCK = 2048
STAGES = ("read", "prepare", "encode", "decode", "blend", "write", "vectorise", "wait")
"""Reading, and writing with vectorising, run in threads of their own beside the others."""


@dataclass(frozen=True, slots=True)
class SceneTiming:
    """One scene by text.

    Attributes:
        megapixels: Its size.
        seconds: All of it, opening and writing included, loading the model not.
        stages: Seconds of each of `STAGES`; some run beside each other.
        peak_mib: The most memory that the process held until now, resident.
    """

    megapixels: float
    seconds: float
    stages: dict[str, float]
    peak_mib: float


def write_synthetic_scene(path: Path, megapixels: float) -> None:
    """Write a square scene of 8-bit RGB at 0.5 m: fields in soft colours, and bright roofs.

    It is made block by block, so that its size does not matter to memory.
    """
    side = round((megapixels * 1e6) ** 0.5)
    transform = Affine(0.5, 0, 500_000, 0, -0.5, 4_400_000)
    size = {"width": side, "height": side, "count": 3, "dtype": "uint8"}
    place = {"crs": "EPSG:32650", "transform": transform}
    packing = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    with (
        rasterio.Env(GDAL_CACHEMAX=64 * 2**20),
        rasterio.open(
            path, "w", driver="GTiff", BIGTIFF="IF_SAFER", zlevel=1, **size, **place, **packing
        ) as dataset,
    ):
        for seed, window in enumerate(plan_tiles(side, side, _BLOCK, 0)):
            dataset.write(_block(window, seed), window=window)


def _block(window: Window, seed: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    size = int(window.width), int(window.height)
    fields = cv2.resize(rng.integers(60, 150, (12, 12, 3), np.uint8), size)
    noise = cv2.resize(rng.integers(0, 24, (size[1] // 4 + 1, size[0] // 4 + 1), np.uint8), size)
    pixels = cv2.add(fields, cv2.merge([noise] * 3))
    for x, y, width, height in rng.integers((0, 0, 16, 16), (*size, 60, 60), (120, 4)).tolist():
        cv2.rectangle(pixels, (x, y), (x + width, y + height), (225, 215, 205), -1)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def time_scene(
    segmenter: Segmenter, path: Path, text: str, progress: Progress | None = None
) -> SceneTiming:
    """Segment a scene by text into a mask and outlines, which are thrown away."""
    clock, began = StageClock(STAGES), time.perf_counter()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, open_scene(path) as scene:
        paths = [Path(folder) / name for name in ("mask.tif", "outlines.gpkg")]
        job = SceneJob(prompts=[Prompt.from_text(text)], paths=paths)
        segment_to_files(segmenter, scene, job, progress=progress, clock=clock)
        pixels = scene.grid.width * scene.grid.height
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return SceneTiming(pixels / 1e6, seconds, clock.seconds, peak)


def scene_table(timing: SceneTiming) -> Table:
    """Seconds of each stage, and per megapixel."""
    seconds = [(stage, timing.stages[stage]) for stage in STAGES] + [(Bold("all"), timing.seconds)]
    rows = [(name, f"{took:.1f}", f"{took / timing.megapixels:.3f}") for name, took in seconds]
    return Table(("stage", "s", "s per Mpx"), rows)


def memory_curve(
    sizes: Sequence[float], folder: Path, *, model: str, text: str
) -> list[SceneTiming]:
    """Time scenes of growing size, each made on the fly and read by a process of its own.

    Args:
        sizes: Megapixels.
        folder: Where scenes are made, one at a time; 1,000 Mpx take about 1 GB.
        model: As for `Segmenter.from_pretrained`.
        text: What is asked.
    """
    timings = []
    for megapixels in sizes:
        with tempfile.TemporaryDirectory(dir=folder) as inner:
            path = Path(inner) / "scene.tif"
            write_synthetic_scene(path, megapixels)
            arguments = ["bench", "scene", str(path), text, "--model", model, "--json"]
            process = subprocess.run(
                [sys.executable, "-m", "unigeoseg.cli", *arguments],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            timings.append(record_from_json(SceneTiming, process.stdout, "bench scene --json"))
    return timings


def timing_json(timing: SceneTiming) -> str:
    """A timing as JSON, which `memory_curve` reads back."""
    return record_json(timing)


def curve_table(timings: Sequence[SceneTiming]) -> Table:
    """Peak memory and seconds, a row per scene."""
    rows = [
        (
            f"{timing.megapixels:.0f}",
            f"{timing.peak_mib:.0f}",
            f"{timing.seconds:.0f}",
            f"{timing.seconds / timing.megapixels:.2f}",
        )
        for timing in timings
    ]
    return Table(("Mpx", "peak memory, MiB", "s", "s per Mpx"), rows)


def draw_curve(timings: Sequence[SceneTiming], path: Path) -> None:
    """Draw peak memory over size as an image.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        OutputUnwritableError: If it cannot be written.
    """
    figure = new_figure("a drawn curve", 6, 3.6)
    axes = figure.subplots()
    sizes = [timing.megapixels for timing in timings]
    axes.plot(sizes, [timing.peak_mib for timing in timings], "o-")
    axes.set(xscale="log", xlabel="size of the scene, Mpx", ylabel="peak resident memory, MiB")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    save_figure(figure, path)
