"""Many scenes: each is done once, whatever happens in between, and no failure stops the others.

A run that is started again goes on with the scenes that the manifest of the folder does not name as
done with the same question.
"""

import glob
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

from unigeoseg.errors import AreaOutsideError, OptionError, UniGeoSegError
from unigeoseg.geo.area import Area
from unigeoseg.geo.formats import check_output
from unigeoseg.geo.raster import open_scene
from unigeoseg.geo.stretch import Stretch
from unigeoseg.geo.vectors.reader import check_vectors
from unigeoseg.model.io.store import weights_directory
from unigeoseg.model.precision import checked_dtype
from unigeoseg.predict.manifest import (
    DONE,
    FAILED,
    OFF,
    Manifest,
    ManifestEntry,
    Plain,
    fingerprint_text,
    fingerprint_values,
)
from unigeoseg.predict.output.provenance import weights_hash
from unigeoseg.predict.output.spec import OutputConfig
from unigeoseg.predict.scene_to_files import SceneJob, segment_to_files
from unigeoseg.predict.segmenter import Segmenter
from unigeoseg.predict.tile_pipeline import Progress
from unigeoseg.prompt import Prompt
from unigeoseg.runtime.atomic import remove_leftovers
from unigeoseg.runtime.ray_cluster import join_cluster

NOT_IN_FINGERPRINT: Mapping[str, str] = MappingProxyType(
    {
        "Batch.folder": "the manifest lies in it and is of its files alone",
        "Batch.device": "devices differ by rounding, which is not worth doing scenes again",
        "Batch.dtype": "counts as what it and the environment come to together",
    }
)
"""Fields of a batch, and of what it holds, that do not make it another question, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The same prompts for many scenes.

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

    def fingerprint(self) -> str:
        """All that results depend on, beside the scene; the weights are read for it.

        It has every field of the batch and of the records that it holds, but those of
        `NOT_IN_FINGERPRINT`.

        Raises:
            CheckpointNotFoundError, HubError: As `Segmenter.from_pretrained`.
            OptionError: If the dtype has no meaning.
            DataError: If a file of the model, or that of the area, cannot be read.
        """
        values = fingerprint_values(self, NOT_IN_FINGERPRINT)
        assert isinstance(values, dict), "a batch has fields"
        resolved: dict[str, Plain] = {
            "weights": weights_hash(weights_directory(self.model)),
            "dtype": str(checked_dtype(self.dtype) or "auto"),
        }
        return fingerprint_text(values | resolved)

    def segmenter(self) -> Segmenter:
        """What does the scenes; errors are those of `Segmenter.from_pretrained`."""
        return Segmenter.from_pretrained(self.model, device=self.device, dtype=self.dtype)

    def paths(self, scene: Path) -> list[Path]:
        """The files of one scene."""
        return [self.folder / f"{scene.stem}{suffix}" for suffix in self.suffixes]

    def segment_scene(
        self, segmenter: Segmenter, scene: Path, progress: Progress | None = None
    ) -> ManifestEntry:
        """Segment one scene; a failure of the scene, or of its files, is an entry too.

        Its files are replaced if they are there; `run_batch` sees to it that they may be.
        """
        paths = self.paths(scene)
        for path in paths:
            remove_leftovers(path.parent, path.name)
        try:
            for path in paths:
                check_output(path, overwrite=True)
            with open_scene(scene, self.bands, stretch=self.stretch, gsd_m=self.gsd_m) as opened:
                job = SceneJob(
                    prompts=self.prompts,
                    paths=paths,
                    area=Area.from_file(self.aoi, opened.grid) if self.aoi else None,
                    outputs=self.outputs,
                    classes=self.classes,
                )
                summaries = segment_to_files(segmenter, opened, job, progress=progress)
        except AreaOutsideError as error:
            return ManifestEntry(str(scene), OFF, error=str(error))
        except UniGeoSegError as error:
            return ManifestEntry(str(scene), FAILED, error=str(error))
        return ManifestEntry(
            str(scene),
            DONE,
            outputs=[path.name for path in paths],
            shares=[round(summary.share, 6) for summary in summaries],
        )


Engine = Callable[[Batch, Iterator[Path]], Iterator[ManifestEntry]]
"""Does scenes in any order and gives their entries; takes a scene when it can begin with it."""


def find_scenes(patterns: Iterable[str]) -> list[Path]:
    """Files that match, sorted.

    Raises:
        OptionError: If nothing matches, or two scenes would write the same files.
    """
    names = {name for pattern in patterns for name in glob.glob(pattern, recursive=True)}
    scenes = [path for path in sorted(map(Path, names)) if path.is_file()]
    if not scenes:
        raise OptionError(f"no file matches {' '.join(patterns)}; give paths or patterns")
    counts = Counter(path.stem for path in scenes)
    repeated = [stem for stem, count in counts.items() if count > 1]
    if repeated:
        raise OptionError(
            f"several scenes are named {repeated[0]!r} and would write the same files; "
            "run them into different folders"
        )
    return scenes


def run_batch(batch: Batch, scenes: Sequence[Path], engine: Engine) -> list[ManifestEntry]:
    """Do the scenes that are not done yet, and keep the manifest.

    A scene fails if a file is where a result of it would be that the manifest does not name.

    Args:
        batch: What is asked.
        scenes: As `find_scenes` gives them.
        engine: `local_engine`, or `ray_engine`.

    Returns:
        The last entry of every scene, in their order.

    Raises:
        OptionError: If a result would replace its scene.
        AreaError: If the file of the area is not there.
        CheckpointNotFoundError, HubError, DataError: As `Batch.fingerprint`.
    """
    if batch.aoi:
        check_vectors(batch.aoi)
    for scene in scenes:
        if scene.resolve() in [path.resolve() for path in batch.paths(scene)]:
            raise OptionError(f"{scene} would be replaced by its result; give another folder")
    batch.folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(batch.folder, batch.fingerprint())
    planned = ((scene, batch.paths(scene)) for scene in scenes)
    for entry in engine(batch, manifest.begin(planned)):
        manifest.end(entry)
    return [manifest.last[str(scene)] for scene in scenes]


def local_engine(progress: Callable[[Path], Progress | None]) -> Engine:
    """One scene after the other, in this process.

    Args:
        progress: Gives, for each scene, what counts its tiles.
    """

    def engine(batch: Batch, scenes: Iterator[Path]) -> Iterator[ManifestEntry]:
        segmenter: Segmenter | None = None
        for scene in scenes:
            segmenter = segmenter or batch.segmenter()
            yield batch.segment_scene(segmenter, scene, progress(scene))

    return engine


def ray_engine(workers: int) -> Engine:
    """Over a Ray cluster, or processes of this machine where there is none.

    Every worker loads the model once; scenes, folders and the model must be at the same paths for
    all, and where the run is started.

    Args:
        workers: How many.

    Raises:
        MissingExtraError: From the engine, if Ray is not installed.
        OptionError: From the engine, as `ray_cluster.join_cluster`.
    """

    def engine(batch: Batch, scenes: Iterator[Path]) -> Iterator[ManifestEntry]:
        class Worker:
            segmenter: Segmenter | None = None

            def segment_scene(self, scene: Path) -> ManifestEntry:
                # not in __init__: Ray would hide what is wrong with a model behind a dead actor
                self.segmenter = self.segmenter or batch.segmenter()
                return batch.segment_scene(self.segmenter, scene)

        first = list(islice(scenes, workers))
        if not first:
            return
        with join_cluster(len(first)) as ray:
            from ray.util import ActorPool

            pool: Any = ActorPool([ray.remote(Worker).remote() for _ in first])
            for scene in first:
                pool.submit(lambda worker, scene: worker.segment_scene.remote(scene), scene)
            while pool.has_next():
                yield pool.get_next_unordered()
                # not all at once, as map_unordered would: a scene that waits is not begun
                for scene in islice(scenes, 1):
                    pool.submit(lambda worker, scene: worker.segment_scene.remote(scene), scene)

    return engine
