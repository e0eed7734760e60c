"""Many scenes: each is done once, whatever happens in between, and no failure stops the others.

The folder of results holds `manifest.jsonl`: a line for each scene that is begun, and one when its
files are whole or it has failed. A run that is started again goes on with what has no line of
success. Only files that the manifest names are replaced.
"""

import glob
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from unigeoseg.errors import AreaOutsideError, OptionError, UniGeoSegError
from unigeoseg.geo.area import Area
from unigeoseg.geo.formats import check_output
from unigeoseg.geo.raster import open_scene
from unigeoseg.geo.stretch import Stretch
from unigeoseg.geo.vectors.reader import check_vectors
from unigeoseg.model.io import checkpoint
from unigeoseg.model.io.store import weights_directory
from unigeoseg.predict.output_spec import OutputConfig
from unigeoseg.predict.scene_to_files import SceneJob, segment_to_files
from unigeoseg.predict.segmenter import Segmenter
from unigeoseg.predict.tile_pipeline import Progress
from unigeoseg.prompt import Prompt
from unigeoseg.runtime.atomic import append_lines, file_sha256, remove_leftovers
from unigeoseg.runtime.ray_cluster import join_cluster

MANIFEST = "manifest.jsonl"
BEGUN, DONE, FAILED, OFF = "begun", "done", "failed", "off"

_SHAPEFILE = (".shx", ".dbf", ".prj", ".cpg")  # what is written with a .shp


@dataclass(frozen=True, slots=True)
class Entry:
    """What became of one scene.

    Attributes:
        scene: Its path.
        state: "begun", "done", "failed", or "off" if it has no part of the area.
        question: What was asked, and how, as `run` notes it at the end; another question is other
            work.
        outputs: Names of its files in the folder of results.
        others: Names of further files there that are of this scene: of other questions, or, if it
            is begun, those that it may have when the run is killed.
        shares: For each prompt, its share of the scene's pixels.
        error: One line, if it is not done.
    """

    scene: str
    state: str
    question: str = ""
    outputs: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One question to many scenes.

    Attributes:
        prompts: As in `SceneJob`.
        folder: Of results; made if it is not there.
        suffixes: Files to write for each scene, such as ".tif".
        model: As for `Segmenter.from_pretrained`.
        device: As there.
        dtype: As there.
        outputs: How results are written.
        classes: As in `SceneJob`.
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
    dtype: str | None = None
    outputs: OutputConfig = field(default_factory=OutputConfig)
    classes: bool = False
    stretch: Stretch | None = None
    bands: Sequence[int | str] | None = None
    gsd_m: float | None = None
    aoi: Path | None = None

    def question(self) -> str:
        """All that results depend on, beside the scene; the weights are read for it.

        Raises:
            CheckpointNotFoundError, HubError: As `Segmenter.from_pretrained`.
            DataError: If a file of the model cannot be read.
        """
        texts = [(prompt.task.value, prompt.text) for prompt in self.prompts]
        crs = None if self.outputs.crs is None else self.outputs.crs.to_string()
        shape = (self.outputs.min_area_m2, self.outputs.simplify_m, self.outputs.regularise_m)
        shown = None if self.stretch is None else self.stretch.text()
        area = None if self.aoi is None else hashlib.sha256(self.aoi.read_bytes()).hexdigest()
        model = [self.model, _weights(self.model)]
        parts = [texts, list(self.suffixes), *model, crs, self.outputs.threshold, *shape]
        seen = [self.outputs.instances, self.classes, shown, self.bands, self.gsd_m, area]
        return json.dumps([*parts, *seen], ensure_ascii=False)

    def segmenter(self) -> Segmenter:
        """What does the scenes; errors are those of `Segmenter.from_pretrained`."""
        return Segmenter.from_pretrained(self.model, device=self.device, dtype=self.dtype)

    def paths(self, scene: Path) -> list[Path]:
        """The files of one scene."""
        return [self.folder / f"{scene.stem}{suffix}" for suffix in self.suffixes]

    def do(self, segmenter: Segmenter, scene: Path, progress: Progress | None = None) -> Entry:
        """Segment one scene; a failure of the scene, or of its files, is an entry too.

        Its files are replaced if they are there; `run` sees to it that they may be.
        """
        paths = self.paths(scene)
        for path in paths:
            remove_leftovers(path.parent, path.name)
        try:
            for path in paths:
                check_output(path, overwrite=True)
            with open_scene(scene, self.bands, stretch=self.stretch, gsd_m=self.gsd_m) as opened:
                wish = SceneJob(
                    prompts=self.prompts,
                    paths=paths,
                    area=Area.from_file(self.aoi, opened.grid) if self.aoi else None,
                    outputs=self.outputs,
                    classes=self.classes,
                )
                found = segment_to_files(segmenter, opened, wish, progress=progress)
        except AreaOutsideError as error:
            return Entry(str(scene), OFF, error=str(error))
        except UniGeoSegError as error:
            return Entry(str(scene), FAILED, error=str(error))
        names, shares = [path.name for path in paths], [round(each.share, 6) for each in found]
        return Entry(str(scene), DONE, outputs=names, shares=shares)


Engine = Callable[[Batch, Iterator[Path]], Iterator[Entry]]
"""Does scenes in any order and gives their entries; takes a scene when it can begin with it."""


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

    A scene fails if a file is where a result of it would be that the manifest does not name.

    Args:
        batch: What is asked.
        scenes: As `scenes_of` gives them.
        engine: `here`, or `on_ray`.

    Returns:
        The last entry of every scene, in their order.

    Raises:
        OptionError: If a result would replace its scene.
        AreaError: If the file of the area is not there.
        CheckpointNotFoundError, HubError, DataError: As `Batch.question`.
    """
    if batch.aoi:
        check_vectors(batch.aoi)
    for scene in scenes:
        if scene.resolve() in [path.resolve() for path in batch.paths(scene)]:
            raise OptionError(f"{scene} would be replaced by its result; give another folder")
    batch.folder.mkdir(parents=True, exist_ok=True)
    manifest = _Manifest(batch)
    for entry in engine(batch, manifest.begin(scenes)):
        manifest.end(entry)
    return [manifest.last[str(scene)] for scene in scenes]


def here(progress: Callable[[Path], Progress | None]) -> Engine:
    """One scene after the other, in this process.

    Args:
        progress: Gives, for each scene, what counts its tiles.
    """

    def engine(batch: Batch, scenes: Iterator[Path]) -> Iterator[Entry]:
        segmenter: Segmenter | None = None
        for scene in scenes:
            segmenter = segmenter or batch.segmenter()
            yield batch.do(segmenter, scene, progress(scene))

    return engine


def on_ray(workers: int) -> Engine:
    """Over a Ray cluster, or processes of this machine where there is none.

    Every worker loads the model once; scenes, folders and the model must be at the same paths for
    all, and where the run is started.

    Args:
        workers: How many.

    Raises:
        MissingExtraError: From the engine, if Ray is not installed.
        OptionError: From the engine, as `ray_cluster.join_cluster`.
    """

    def engine(batch: Batch, scenes: Iterator[Path]) -> Iterator[Entry]:
        class Worker:
            segmenter: Segmenter | None = None

            def do(self, scene: Path) -> Entry:
                # not in __init__: Ray would hide what is wrong with a model behind a dead actor
                self.segmenter = self.segmenter or batch.segmenter()
                return batch.do(self.segmenter, scene)

        first = list(islice(scenes, workers))
        if not first:
            return
        with join_cluster(len(first)) as ray:
            from ray.util import ActorPool

            pool: Any = ActorPool([ray.remote(Worker).remote() for _ in first])
            for scene in first:
                pool.submit(lambda worker, scene: worker.do.remote(scene), scene)
            while pool.has_next():
                yield pool.get_next_unordered()
                # not all at once, as map_unordered would: a scene that waits is not begun
                for scene in islice(scenes, 1):
                    pool.submit(lambda worker, scene: worker.do.remote(scene), scene)

    return engine


def read_manifest(path: Path) -> Iterator[Entry]:
    """The entries of a manifest; a last line that was cut short is as if it were not there."""
    if not path.exists():
        return
    for line in path.read_bytes().split(b"\n"):  # a cut can be inside a character, too
        try:
            yield Entry(**json.loads(line))
        except (ValueError, TypeError):
            continue


class _Manifest:
    """What became of the scenes of a folder, and what a run adds to it.

    Attributes:
        last: The last entry of each scene, by its path.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch, self._question = batch, batch.question()
        self._path = batch.folder / MANIFEST
        self.last = {entry.scene: entry for entry in read_manifest(self._path)}

    def begin(self, scenes: Iterable[Path]) -> Iterator[Path]:
        """Those that are to be done, each noted as begun when it is taken.

        So a run that is killed before a scene has ended knows the files again as its own.
        """
        for scene in scenes:
            if self._is_done(scene):
                continue
            ours, paths = self._ours(scene), self._batch.paths(scene)
            strange = [
                part
                for path in paths
                if path.name not in ours
                for part in _parts(path)
                if part.exists()
            ]
            if strange:
                self.end(Entry(str(scene), FAILED, error=self._refusal(strange[0], scene)))
                continue
            names = sorted(ours | {path.name for path in paths})
            self._add(Entry(str(scene), BEGUN, others=names))
            yield scene

    def end(self, entry: Entry) -> None:
        """Add what became of a scene."""
        ours = self._ours(Path(entry.scene)).difference(entry.outputs)
        there = sorted(name for name in ours if (self._batch.folder / name).exists())
        self._add(replace(entry, question=self._question, others=there))

    def _add(self, entry: Entry) -> None:
        append_lines(self._path, [json.dumps(asdict(entry), ensure_ascii=False)])
        self.last[entry.scene] = entry

    def _is_done(self, scene: Path) -> bool:
        entry = self.last.get(str(scene))
        return (
            entry is not None
            and entry.state in (DONE, OFF)
            and entry.question == self._question
            and all((self._batch.folder / name).exists() for name in entry.outputs)
        )

    def _ours(self, scene: Path) -> set[str]:
        """Names of files that are results of a scene, and may be replaced."""
        entry = self.last.get(str(scene))
        return set() if entry is None else {*entry.outputs, *entry.others}

    def _refusal(self, path: Path, scene: Path) -> str:
        return (
            f"{path} is there and {self._path} does not name it as a result of {scene}; give "
            "another folder, name the scene as in the run before, or remove the file"
        )


def _parts(path: Path) -> list[Path]:
    """The files that a result is written to."""
    beside = _SHAPEFILE if path.suffix.lower() == ".shp" else ()
    return [path, *(path.with_suffix(suffix) for suffix in beside)]


def _weights(model: str) -> str:
    """Hexadecimal digits of what a model's files hold, the same wherever and whenever they lie.

    A file that is not there is left for the loading of the model to tell of.
    """
    files = [weights_directory(model) / name for name in checkpoint.FILES]
    held = [file_sha256(path) if path.is_file() else "" for path in files]
    return hashlib.sha256(" ".join(held).encode()).hexdigest()[:16]
