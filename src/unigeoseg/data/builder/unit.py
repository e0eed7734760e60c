"""One unit of a build: from images on disk to a folder of patches, triplets and rejections.

A unit reads nothing but its own images and draws its random numbers from the seed and the patch,
so its folder is the same bytes on whichever machine and whenever it is made.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from unigeoseg.data.builder.inputs import unreadable
from unigeoseg.data.builder.plan import Options, Unit
from unigeoseg.data.builder.tools import Tools, loaded_tools
from unigeoseg.data.instructions.draft import ScoredDraft
from unigeoseg.data.instructions.samples import samples_from_drafts
from unigeoseg.data.ledger import Rejection, RejectionHandler, StrictError, raise_rejection
from unigeoseg.data.patches.boxes import BoxSegmenter, segment_boxes
from unigeoseg.data.patches.cutting import cut_patches
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.patches.perceptual_hash import perceptual_hash
from unigeoseg.data.sources.annotated import AnnotatedImage
from unigeoseg.data.sources.readers import open_labelled_source
from unigeoseg.data.store.parquet import TableWriter
from unigeoseg.data.store.rows import image_row, ledger_rows, triplet_row
from unigeoseg.data.store.schema import IMAGE_GROUP, IMAGES, LEDGER, TRIPLET_GROUP, TRIPLETS
from unigeoseg.errors import DataError
from unigeoseg.runtime.atomic import atomic_directory
from unigeoseg.runtime.prefetch import prefetch

WORK = "work"
"""Folder of the units in the directory of a build."""

IMAGES_FILE, TRIPLETS_FILE, LEDGER_FILE = "images.parquet", "triplets.parquet", "ledger.parquet"
"""Files in the folder of a unit."""

_CutPatch = tuple[Patch, list[Rejection]]
_InstructedPatch = tuple[Patch, list[ScoredDraft], list[Rejection]]


@dataclass(frozen=True, slots=True)
class Job:
    """What is done with each unit; picklable, so that any worker can do it.

    Attributes:
        out: Directory of the build.
        options: As planned.
        load: Loads the tools, once per process; a function of a module or another value that is
            hashable, and equal after pickling.
        strict: Whether the first source or image that cannot be read ends the build.
    """

    out: Path
    options: Options
    load: Callable[[], Tools]
    strict: bool = False

    def check(self) -> None:
        """Load the tools, so that an error is raised before a build begins."""
        with loaded_tools(self.load):
            pass

    def __call__(self, unit: Unit) -> int:
        """Make the folder of a unit, at once and whole; give its number of triplets.

        Raises:
            StrictError: With `strict`, if an image cannot be read.
            OutputUnwritableError: If it cannot be written.
        """
        target = self.out / WORK / unit.name
        # a worker that outlived a killed run may make the same folder meanwhile
        with atomic_directory(target, existing="keep") as temporary:
            return self._write_folder(temporary, unit)

    def _write_folder(self, folder: Path, unit: Unit) -> int:
        with ExitStack() as stack:
            tools = stack.enter_context(loaded_tools(self.load))
            images, triplets, ledger = (
                stack.enter_context(TableWriter(folder / name, schema, group=group))
                for name, schema, group in (
                    (IMAGES_FILE, IMAGES, IMAGE_GROUP),
                    (TRIPLETS_FILE, TRIPLETS, TRIPLET_GROUP),
                    (LEDGER_FILE, LEDGER, TRIPLET_GROUP),
                )
            )
            rejections: list[Rejection] = []

            def instruct(cut_patch: _CutPatch) -> _InstructedPatch:
                patch, of_patch = cut_patch
                return patch, list(tools.instruct(patch, of_patch.append)), of_patch

            patches = self._cut(unit, tools.segment, rejections)
            for patch, drafts, of_patch in prefetch(instruct, patches, ahead=tools.concurrency - 1):
                ledger.write(ledger_rows(of_patch))
                if not write_patch(patch, drafts, images, triplets):
                    without = no_triplet_rejection(patch.source, patch.key, patch.x, patch.y)
                    ledger.write(ledger_rows([without]))
            ledger.write(ledger_rows(rejections))
            return triplets.rows

    def _cut(
        self, unit: Unit, segment: BoxSegmenter | None, rejections: list[Rejection]
    ) -> Iterator[_CutPatch]:
        """Patches of a unit, each with what was rejected since the last.

        What is rejected after the last patch stays in `rejections`.
        """

        def reject(rejection: Rejection) -> None:
            if self.strict and rejection.stage == "read":
                raise_rejection(rejection)
            rejections.append(rejection)

        for image in read_unit(unit, reject):
            for patch in prepare_patches(image, self.options, segment, reject):
                of_patch = rejections.copy()
                rejections.clear()
                yield patch, of_patch


def read_unit(unit: Unit, reject: RejectionHandler) -> Iterator[AnnotatedImage]:
    """Stage "read": the images of a unit that can be read.

    Raises:
        StrictError: If `reject` refuses.
    """
    reject_source, index = reject if unit.leads else _ignore_rejection, 0
    try:
        source = open_labelled_source(unit.source, unit.directory, reject_source)
        for index, item in enumerate(unit.items):  # noqa: B007 - it says where reading stopped
            image = source.read(item, reject)
            if image is not None:
                yield image
    except StrictError:
        raise
    except DataError as error:  # the list of many images' labels broke since the plan was made
        for item in unit.items[index:]:
            reject(unreadable(unit.source.name, item.key, error, unit.directory))


def _ignore_rejection(_: Rejection) -> None:
    """What concerns a whole source is noted by its first unit alone."""


def prepare_patches(
    image: AnnotatedImage, options: Options, segment: BoxSegmenter | None, reject: RejectionHandler
) -> Iterator[Patch]:
    """Stages "patch" and "box": the patches of an image, their boxes turned into regions."""
    for patch in cut_patches(image, reject, size=options.size, stride=options.stride):
        yield segment_boxes(patch, segment, reject)


def write_patch(
    patch: Patch, drafts: Iterable[ScoredDraft], images: TableWriter, triplets: TableWriter
) -> int:
    """Write a patch and its triplets, and count them; a patch without any is not written."""
    samples = samples_from_drafts(patch, drafts)
    if samples:
        images.write([image_row(patch, perceptual_hash(patch.pixels))])
        triplets.write(triplet_row(sample) for sample in samples)
    return len(samples)


def no_triplet_rejection(source: str, key: str, x: int, y: int) -> Rejection:
    """The note of a patch that has no triplet and therefore is not in the dataset."""
    detail = f"patch at x {x}, y {y}"
    return Rejection("merge", "no_triplet", source, key, detail, value=0.0, limit=1.0)
