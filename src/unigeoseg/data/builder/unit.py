"""One unit of a build: from images on disk to a folder of patches, triplets and rejections.

A unit reads nothing but its own images and draws its chances from the seed and the patch, so its
folder is the same bytes whoever makes it and whenever.
"""

import atexit
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from unigeoseg.data.builder.inputs import unreadable
from unigeoseg.data.builder.plan import Options, Unit
from unigeoseg.data.instructions.draft import Draft
from unigeoseg.data.ledger import Rejection, RejectionHandler, StrictError, raise_rejection
from unigeoseg.data.patches.boxes import BoxSegmenter, segment_boxes
from unigeoseg.data.patches.cutting import cut_patches
from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.patches.perceptual_hash import perceptual_hash
from unigeoseg.data.sources.annotated import AnnotatedImage
from unigeoseg.data.sources.readers import open_labelled_source
from unigeoseg.data.store.parquet import TableWriter
from unigeoseg.data.store.schema import (
    IMAGE_GROUP,
    IMAGES,
    LEDGER,
    TRIPLET_GROUP,
    TRIPLETS,
    image_row,
    ledger_rows,
    triplet_row,
)
from unigeoseg.data.taxonomy.categories import taxonomy
from unigeoseg.errors import DataError
from unigeoseg.geo.masks import Rle, encode_mask
from unigeoseg.runtime.atomic import atomic_directory
from unigeoseg.runtime.prefetch import prefetch
from unigeoseg.sample import Sample

WORK = "work"
"""Folder of the units in the directory of a build."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A draft that every check accepted.

    Attributes:
        draft: The draft.
        scores: Score per dimension of those who checked it.
    """

    draft: Draft
    scores: Mapping[str, float] = field(default_factory=dict)


Instruct = Callable[[Patch, RejectionHandler], Iterable[Scored]]
"""Writes the instructions of one patch: candidates, rules, judge, instructions, scores."""
_Instructed = tuple[Patch, list[Scored], list[Rejection]]


@dataclass(frozen=True, slots=True)
class Tools:
    """What a worker loads once.

    Attributes:
        instruct: Writes the instructions of a patch.
        segment: Turns boxes into masks; None leaves them unknown.
        at_once: Patches that instructions are written for at a time, in threads if there are
            several; for those that wait for servers.
        close: Ends what the tools hold open.
    """

    instruct: Instruct
    segment: BoxSegmenter | None = None
    at_once: int = 1
    close: Callable[[], None] = lambda: None


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
        """Load the tools, so that what cannot be used is known before a build begins."""
        with _tools(self.load):
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
            return self._fill(temporary, unit)

    def _fill(self, folder: Path, unit: Unit) -> int:
        with ExitStack() as stack:
            tools = stack.enter_context(_tools(self.load))
            images = stack.enter_context(
                TableWriter(folder / "images.parquet", IMAGES, group=IMAGE_GROUP)
            )
            triplets = stack.enter_context(
                TableWriter(folder / "triplets.parquet", TRIPLETS, group=TRIPLET_GROUP)
            )
            ledger = stack.enter_context(
                TableWriter(folder / "ledger.parquet", LEDGER, group=TRIPLET_GROUP)
            )
            noted: list[Rejection] = []

            def instructed(cut: tuple[Patch, list[Rejection]]) -> _Instructed:
                patch, rejected = cut
                return patch, list(tools.instruct(patch, rejected.append)), rejected

            cuts = self._cut(unit, tools.segment, noted)
            for patch, scored, rejected in prefetch(instructed, cuts, ahead=tools.at_once - 1):
                ledger.write(ledger_rows(rejected))
                if not write_patch(patch, scored, images, triplets):
                    bare = no_triplet(patch.source, patch.key, patch.x, patch.y)
                    ledger.write(ledger_rows([bare]))
            ledger.write(ledger_rows(noted))
            return triplets.rows

    def _cut(
        self, unit: Unit, segment: BoxSegmenter | None, noted: list[Rejection]
    ) -> Iterator[tuple[Patch, list[Rejection]]]:
        """Patches of a unit, each with what was rejected since the last; the rest is `noted`."""

        def reject(rejection: Rejection) -> None:
            if self.strict and rejection.stage == "read":
                raise_rejection(rejection)
            noted.append(rejection)

        for image in read(unit, reject):
            for patch in patches(image, self.options, segment, reject):
                rejected = noted.copy()
                noted.clear()
                yield patch, rejected


_kept: dict[Callable[[], Tools], Tools] = {}


@contextmanager
def _tools(load: Callable[[], Tools]) -> Iterator[Tools]:
    """The tools of this process: loaded once, kept for the next unit, closed after an error."""
    try:
        if load not in _kept:
            release()
            _kept[load] = load()
            atexit.register(release)
        yield _kept[load]
    except BaseException:
        release()
        raise


def release() -> None:
    """Close the tools that this process keeps; the next unit loads them again."""
    while _kept:
        _kept.popitem()[1].close()


def read(unit: Unit, reject: RejectionHandler) -> Iterator[AnnotatedImage]:
    """Stage "read": the images of a unit that can be read.

    Raises:
        StrictError: If `reject` refuses.
    """
    whole, at = reject if unit.leads else _noted_before, 0
    try:
        source = open_labelled_source(unit.source, unit.directory, whole)
        for at, item in enumerate(unit.items):  # noqa: B007 - it says where reading stopped
            image = source.read(item, reject)
            if image is not None:
                yield image
    except StrictError:
        raise
    except DataError as error:  # what lists the labels of many images broke meanwhile
        for left in unit.items[at:]:
            reject(unreadable(unit.source.name, left.key, error, unit.directory))


def _noted_before(_: Rejection) -> None:
    """What concerns a whole source is noted by its first unit."""


def patches(
    image: AnnotatedImage, options: Options, segment: BoxSegmenter | None, reject: RejectionHandler
) -> Iterator[Patch]:
    """Stages "patch" and "box": the patches of an image, their boxes turned into regions."""
    for patch in cut_patches(image, reject, size=options.size, stride=options.stride):
        yield segment_boxes(patch, segment, reject)


def write_patch(
    patch: Patch, instructions: Iterable[Scored], images: TableWriter, triplets: TableWriter
) -> int:
    """Write a patch and its triplets, and count them; a patch without any is not written."""
    samples = samples_of(patch, instructions)
    if samples:
        images.write([image_row(patch, perceptual_hash(patch.pixels))])
        triplets.write(triplet_row(sample) for sample in samples)
    return len(samples)


def no_triplet(source: str, key: str, x: int, y: int) -> Rejection:
    """The note of a patch that no triplet is of, so that it is not in the dataset."""
    detail = f"patch at x {x}, y {y}"
    return Rejection("merge", "no_triplet", source, key, detail, 0.0, 1.0)


def samples_of(patch: Patch, instructions: Iterable[Scored]) -> list[Sample]:
    """Drafts as samples, named after the patch that they were written for."""
    masks: dict[tuple[int, ...], Rle] = {}  # several drafts mean the same regions
    samples = []
    for scored in instructions:
        draft = scored.draft
        rle = masks.get(draft.regions) or encode_mask(draft.mask)
        if draft.regions:
            masks[draft.regions] = rle
        samples.append(_sample(patch, scored, rle))
    return samples


def _sample(patch: Patch, scored: Scored, rle: Rle) -> Sample:
    draft = scored.draft
    height, width = patch.regions.shape
    return Sample(
        image=patch.id,
        width=width,
        height=height,
        prompt=draft.prompt,
        rle=rle,
        category=taxonomy()[draft.category].name if draft.category else "",
        source=patch.source,
        licence=patch.licence,
        group=patch.group,
        answer=draft.answer,
        family=draft.family,
        category_id=draft.category,
        split=patch.split,
        writer=draft.writer,
        program=draft.program,
        regions=draft.regions,
        scores=scored.scores,
    )
