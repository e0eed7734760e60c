"""Many scenes: each is done once, whatever happens in between, and no failure stops the others.

The folder of results holds `manifest.jsonl`: a line per scene that is done or has failed, added
when its files are whole. A run that is started again goes on with what has no line of success.
"""

import glob
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from unigeoseg.data.cluster import cluster
from unigeoseg.errors import AreaOutsideError, OptionError, UniGeoSegError
from unigeoseg.geo.files import check_output, leftovers
from unigeoseg.geo.raster import open_scene
from unigeoseg.geo.stretch import Stretch
from unigeoseg.geo.vector_reader import check_vectors
from unigeoseg.prompt import Prompt
from unigeoseg.segment import Segmenter
from unigeoseg.stream.area import Area
from unigeoseg.stream.outputs import OutputConfig
from unigeoseg.stream.sweep import Progress
from unigeoseg.survey import Wish, survey

MANIFEST = "manifest.jsonl"
DONE, FAILED, OFF = "done", "failed", "off"


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one scene.

    Attributes:
        scene: Its path.
        state: "done", "failed", or "off" if it has no part of the area.
        question: What was asked, and how; another question is other work.
        outputs: Names of its files in the folder of results.
        shares: For each prompt, its share of the scene's pixels.
        error: One line, if it is not done.
    """

    scene: str
    state: str
    question: str
    outputs: list[str] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One question to many scenes.

    Attributes:
        prompts: As in `Wish`.
        folder: Of results; made if it is not there.
        suffixes: Files to write for each scene, such as ".tif".
        model: As for `Segmenter.from_pretrained`.
        device: As there.
        outputs: How results are written.
        classes: As in `Wish`.
        stretch: One for all scenes; None for each its own.
        bands: Shown as red, green and blue.
        gsd_m: As in `open_scene`.
        aoi: File of polygons, as in `Area.from_file`; None for whole scenes.
    """

    prompts: Sequence[Prompt]
    folder: Path
    suffixes: Sequence[str] = (".tif",)
    model: str = "nano"
    device: str | None = None
    outputs: OutputConfig = field(default_factory=OutputConfig)
    classes: bool = False
    stretch: Stretch | None = None
    bands: Sequence[int | str] | None = None
    gsd_m: float | None = None
    aoi: Path | None = None

    @property
    def question(self) -> str:
        """All that results depend on, beside the scene."""
        texts = [(prompt.task.value, prompt.text) for prompt in self.prompts]
        crs = None if self.outputs.crs is None else self.outputs.crs.to_string()
        shape = (self.outputs.min_area_m2, self.outputs.simplify_m, self.outputs.regularise_m)
        shown = None if self.stretch is None else self.stretch.text()
        area = None if self.aoi is None else hashlib.sha256(self.aoi.read_bytes()).hexdigest()
        parts = [texts, list(self.suffixes), self.model, crs, self.outputs.threshold, *shape]
        seen = [self.outputs.instances, self.classes, shown, self.bands, self.gsd_m, area]
        return json.dumps([*parts, *seen], ensure_ascii=False)

    def segmenter(self) -> Segmenter:
        """What does the scenes; errors are those of `Segmenter.from_pretrained`."""
        return Segmenter.from_pretrained(self.model, device=self.device)

    def paths(self, scene: Path) -> list[Path]:
        """The files of one scene."""
        return [self.folder / f"{scene.stem}{suffix}" for suffix in self.suffixes]

    def do(self, segmenter: Segmenter, scene: Path, progress: Progress | None = None) -> Entry:
        """Segment one scene; a failure of the scene, or of its files, is an entry too."""
        paths = self.paths(scene)
        for stale in leftovers(paths[0]):
            stale.unlink()
        try:
            for path in paths:
                check_output(path, overwrite=True)
            with open_scene(scene, self.bands, stretch=self.stretch, gsd_m=self.gsd_m) as opened:
                wish = Wish(
                    prompts=self.prompts,
                    paths=paths,
                    area=Area.from_file(self.aoi, opened.grid) if self.aoi else None,
                    outputs=self.outputs,
                    classes=self.classes,
                )
                found = survey(segmenter, opened, wish, progress=progress)
        except AreaOutsideError as error:
            return Entry(str(scene), OFF, self.question, error=str(error))
        except UniGeoSegError as error:
            return Entry(str(scene), FAILED, self.question, error=str(error))
        names, shares = [path.name for path in paths], [round(each.share, 6) for each in found]
        return Entry(str(scene), DONE, self.question, names, shares)


Engine = Callable[[Batch, Sequence[Path]], Iterator[Entry]]
"""Does scenes in any order and gives their entries."""


def scenes_of(patterns: Iterable[str]) -> list[Path]:
    """Files that match, sorted.

    Raises:
        OptionError: If nothing matches, or two scenes would write the same files.
    """
    found = sorted({Path(name) for each in patterns for name in glob.glob(each, recursive=True)})
    found = [path for path in found if path.is_file()]
    if not found:
        raise OptionError(f"no file matches {' '.join(patterns)}; give paths or patterns")
    again = [stem for stem, count in Counter(path.stem for path in found).items() if count > 1]
    if again:
        raise OptionError(
            f"several scenes are named {again[0]!r} and would write the same files; "
            "run them into different folders"
        )
    return found


def run(batch: Batch, scenes: Sequence[Path], engine: Engine) -> list[Entry]:
    """Do the scenes that are not done yet, and keep the manifest.

    Args:
        batch: What is asked.
        scenes: As `scenes_of` gives them.
        engine: `here`, or `on_ray`.

    Returns:
        The last entry of every scene, in their order.

    Raises:
        OptionError: If a result would replace its scene.
        AreaError: If the file of the area is not there.
    """
    if batch.aoi:
        check_vectors(batch.aoi)
    for scene in scenes:
        if scene.resolve() in [path.resolve() for path in batch.paths(scene)]:
            raise OptionError(f"{scene} would be replaced by its result; give another folder")
    batch.folder.mkdir(parents=True, exist_ok=True)
    manifest = batch.folder / MANIFEST
    last = {entry.scene: entry for entry in read_manifest(manifest)}
    waiting = [scene for scene in scenes if not _is_done(batch, last.get(str(scene)))]
    for entry in engine(batch, waiting):
        _append(manifest, entry)
        last[entry.scene] = entry
    return [last[str(scene)] for scene in scenes]


def here(progress: Callable[[Path], Progress | None]) -> Engine:
    """One scene after the other, in this process.

    Args:
        progress: Gives, for each scene, what counts its tiles.
    """

    def engine(batch: Batch, scenes: Sequence[Path]) -> Iterator[Entry]:
        segmenter = batch.segmenter() if scenes else None
        for scene in scenes:
            assert segmenter is not None, "loaded when there is a scene"
            yield batch.do(segmenter, scene, progress(scene))

    return engine


def on_ray(workers: int) -> Engine:
    """Over a Ray cluster, or processes of this machine where there is none.

    Every worker loads the model once; scenes and folders must be at the same paths for all.

    Args:
        workers: How many.

    Raises:
        MissingExtraError: From the engine, if Ray is not installed.
        OptionError: From the engine, as `data.cluster.cluster`.
    """

    def engine(batch: Batch, scenes: Sequence[Path]) -> Iterator[Entry]:
        class Worker:
            segmenter: Segmenter | None = None

            def do(self, scene: Path) -> Entry:
                # not in __init__: Ray would hide what is wrong with a model behind a dead actor
                self.segmenter = self.segmenter or batch.segmenter()
                return batch.do(self.segmenter, scene)

        count = min(workers, len(scenes))
        if not count:
            return
        with cluster(count) as ray:
            from ray.util import ActorPool

            pool: Any = ActorPool([ray.remote(Worker).remote() for _ in range(count)])
            asked = list(scenes)
            yield from pool.map_unordered(lambda worker, scene: worker.do.remote(scene), asked)

    return engine


def read_manifest(path: Path) -> Iterator[Entry]:
    """The entries of a manifest; a last line that was cut short is as if it were not there."""
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").split("\n"):
        try:
            yield Entry(**json.loads(line))
        except (ValueError, TypeError):
            continue


def _is_done(batch: Batch, entry: Entry | None) -> bool:
    return (
        entry is not None
        and entry.state != FAILED
        and entry.question == batch.question
        and all((batch.folder / name).exists() for name in entry.outputs)
    )


def _append(path: Path, entry: Entry) -> None:
    """Add a line that is on the disk when this returns; a line cut short before it is ended."""
    line = json.dumps(asdict(entry), ensure_ascii=False) + "\n"
    with path.open("ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else "\n" + line
        file.write(line.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())
