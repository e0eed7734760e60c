"""unigeoseg data: datasets of instructions from labelled imagery, and their inspection."""

import hashlib
import time
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unigeoseg.cli.console import counter, progress, say
from unigeoseg.cli.options import Engine
from unigeoseg.errors import OptionError
from unigeoseg.sample import Split

if TYPE_CHECKING:
    from unigeoseg.data.builder.inputs import Place
    from unigeoseg.data.store.summary import DatasetSummary

app = typer.Typer(
    help="Make image-mask-instruction triplets of labelled imagery, and look at them.",
    no_args_is_help=True,
)


NO_BOXES, OWN_BOXES = "none", "nano"


class Judge(StrEnum):
    """What judges, writes and scores: measurements, or models behind servers."""

    OFFLINE = "offline"
    ONLINE = "online"


class Format(StrEnum):
    """Layouts of an export."""

    BENCHMARK = "benchmark"
    HUGGINGFACE = "huggingface"
    WEBDATASET = "webdataset"


Folders = Annotated[
    list[Path] | None,
    typer.Argument(help="Folders with source.json or meta.json, or of such folders."),
]
Sources = Annotated[
    list[str] | None,
    typer.Option("--source", help="A source of the catalogue. Repeatable.", metavar="NAME=DIR"),
]
Built = Annotated[Path, typer.Argument(help="Directory of a dataset.")]
Size = Annotated[int, typer.Option(min=16, help="Side of a patch in pixels.")]
Stride = Annotated[int, typer.Option(min=1, help="Step between patches in pixels.")]


@app.command("build")
def build(
    folders: Folders = None,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory of the dataset.")],
    source: Sources = None,
    engine: Annotated[Engine, typer.Option(help="Processes here, or a Ray cluster.")] = (
        Engine.LOCAL
    ),
    workers: Annotated[int, typer.Option(min=1, help="How many at a time.")] = 1,
    seed: Annotated[int, typer.Option(help="Of every choice.")] = 0,
    size: Size = 512,
    stride: Stride = 256,
    cap: Annotated[int | None, typer.Option(min=1, help="Most triplets of a category.")] = None,
    diverse: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of a source's patches, those with the most categories, that reasoning "
            "questions are kept for; the default is the paper's, 1 keeps all.",
        ),
    ] = 0.1,
    judge: Annotated[Judge, typer.Option(help="Measurements, or models behind servers.")] = (
        Judge.OFFLINE
    ),
    models: Annotated[
        Path | None, typer.Option(help="File of the models; see docs/judges.md.")
    ] = None,
    replies: Annotated[
        Path | None, typer.Option(help="Where models' replies are kept; MODELS.replies.")
    ] = None,
    boxes: Annotated[
        str,
        typer.Option(
            help="Turn boxes into masks with nano, sam:NAME, sam2:NAME or another system; none "
            "leaves boxes out."
        ),
    ] = OWN_BOXES,
    strict: Annotated[
        bool, typer.Option(help="Stop at the first source or image that cannot be read.")
    ] = False,
) -> None:
    """Build a dataset, or resume a build that was stopped; the bytes are the same."""
    from unigeoseg.data.builder.pipeline import build_dataset
    from unigeoseg.data.builder.plan import Options
    from unigeoseg.data.builder.tools import ToolsLoader
    from unigeoseg.data.builder.unit import Job

    began = time.perf_counter()
    options = Options(
        seed=seed,
        size=size,
        stride=stride,
        cap=cap,
        diverse=diverse,
        judge=judge.value,
        models=_models_digest(judge, models, replies),
        boxes=boxes,
    )
    segmenter = None if boxes == NO_BOXES else partial(load_box_segmenter, boxes)
    replies_dir = replies or (models and models.with_name(f"{models.name}.replies"))
    loader = ToolsLoader(seed, models, replies_dir, segmenter)
    job = Job(output, options, loader, strict)
    with progress("units") as bar:
        update = counter(bar)
        dataset = build_dataset(
            job,
            _places(folders, source),
            engine=engine.value,
            workers=workers,
            progress=lambda finished, total, _: update(finished, total),
        )
    _say_summary(dataset.summary, output)
    say(f"built in {time.perf_counter() - began:.1f} s")


def load_box_segmenter(name: str) -> Any:  # noqa: ANN401 - a BoxSegmenter, of a layer that is loaded when needed
    """Load what turns boxes into masks, by a name of `evaluate.systems`.

    Any worker can call this. Nano ships and takes boxes: it is loaded with the first box. Another
    system is loaded and tried at once, so that a mistake is known before a build begins.

    Raises:
        OptionError: If the system takes no boxes.
    """
    import numpy as np

    from unigeoseg.prompt import Box

    segment_boxes = partial(_box_masks, name)
    if name != OWN_BOXES:
        segment_boxes(np.zeros((32, 32, 3), np.uint8), [Box(8, 8, 24, 24)])
    return segment_boxes


def _box_masks(name: str, pixels: Any, boxes: Any) -> list[Any]:  # noqa: ANN401 - a BoxSegmenter
    import torch

    from unigeoseg.evaluate.systems.registry import load_system
    from unigeoseg.prompt import Prompt

    torch.set_num_threads(1)  # workers share the cores, and sums keep one order
    answers = load_system(name)(pixels, [Prompt.from_box(box) for box in boxes])
    if any(answer is None for answer in answers):
        raise OptionError(f"{name} takes no boxes; name a system that does, such as nano")
    return [answer.mask for answer in answers if answer is not None]


def _models_digest(judge: Judge, models: Path | None, replies: Path | None) -> str:
    if replies is not None and models is None:
        raise OptionError("--replies keeps what models say: give --models FILE too")
    if (judge is Judge.ONLINE) != (models is not None):
        raise OptionError("--judge online and --models FILE go together: give both or neither")
    try:
        return "" if models is None else hashlib.sha256(models.read_bytes()).hexdigest()
    except OSError as error:
        raise OptionError(f"--models {models} cannot be read: {error}") from error


def _places(folders: list[Path] | None, sources: list[str] | None) -> "list[Place]":
    """The source, where it is named, and the directory of each input on the command line."""
    from unigeoseg.data.sources.catalog import catalog_source
    from unigeoseg.data.sources.folders import labelled_sets_in

    places: list[Place] = []
    for text in sources or []:
        name, equals, directory = text.partition("=")
        if not equals:
            raise OptionError(
                f"--source is {text!r}, expected NAME=DIR, such as loveda=/data/loveda"
            )
        places.append((catalog_source(name), Path(directory)))
    for folder in folders or []:
        places += [(None, directory) for directory in labelled_sets_in(folder)]
    if not places:
        raise OptionError("nothing to build from: give folders, or --source NAME=DIR")
    return places


def _say_summary(summary: "DatasetSummary", output: Path) -> None:
    say(f"{summary.triplets:,} triplets of {summary.images:,} images in {output}")
    for kind, counts in (("families", summary.families), ("splits", summary.splits)):
        listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        say(f"{kind}: {listed or 'none'}")
    for stage, rules in summary.rejections.items():
        say(f"rejected by {stage}: " + ", ".join(f"{rule} {n:,}" for rule, n in rules.items()))
    say(f"every rejection is in {output / 'ledger.parquet'}")


@app.command("sources")
def sources() -> None:
    """List the sources of the catalogue with their licences, and the readers for own data."""
    from typing import get_args

    from unigeoseg.data.sources.catalog import CATALOG_COLUMNS, catalog_table
    from unigeoseg.data.sources.source import ReaderName
    from unigeoseg.report.document import Table
    from unigeoseg.report.terminal import print_table

    print_table(Table(CATALOG_COLUMNS, catalog_table()))
    readers = ", ".join(get_args(ReaderName))
    typer.echo(f"own data: a source.json that names a reader ({readers}); see docs/sources.md")


@app.command("stats")
def stats(
    dataset: Built,
    *,
    plot: Annotated[Path | None, typer.Option(help="Draw distributions to this PNG.")] = None,
) -> None:
    """Count triplets, words, categories and mask sizes per subset."""
    from unigeoseg.data.inspect.stats import count_subsets, save_distributions, subset_table
    from unigeoseg.data.store.dataset import Dataset
    from unigeoseg.report.terminal import print_table

    opened = Dataset.open(dataset)
    if plot:
        save_distributions(opened, plot)
        say(f"wrote {plot}")
    print_table(subset_table(count_subsets(opened)))


@app.command("show")
def show(
    dataset: Built,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="A page (.html) or a .png.")],
    count: Annotated[int, typer.Option(min=1, help="How many samples.")] = 16,
    seed: Annotated[int, typer.Option(help="Which samples.")] = 0,
    family: Annotated[
        list[str] | None,
        typer.Option(help="Point, box, referring, attribute or context alone. Repeatable."),
    ] = None,
) -> None:
    """Draw random samples: image, outline, instruction, answer."""
    from unigeoseg.data.inspect.show import save_samples
    from unigeoseg.data.store.dataset import Dataset

    save_samples(Dataset.open(dataset), output, count=count, seed=seed, families=family or ())
    say(f"wrote {output}")


@app.command("verify")
def verify(dataset: Built) -> None:
    """Check hashes, ids, licences, splits, masks and programs; exit code 1 if one fails."""
    from unigeoseg.data.inspect.verify import verification_table, verify_dataset
    from unigeoseg.data.store.dataset import Dataset
    from unigeoseg.report.terminal import print_table

    report = verify_dataset(Dataset.unchecked(dataset))
    print_table(verification_table(report))
    for line in report.failures:
        typer.echo(line)
    if not report.passed:
        raise typer.Exit(1)


@app.command("export")
def export(
    dataset: Built,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="A new directory.")],
    layout: Annotated[Format, typer.Option("--format", help="Which layout.")],
    split: Annotated[Split, typer.Option(help="Split of a benchmark.")] = "test",
) -> None:
    """Write a dataset in the layout of a benchmark, of Hugging Face, or of WebDataset."""
    from unigeoseg.data.exchange.benchmark import export_benchmark
    from unigeoseg.data.exchange.export import EXPORTS
    from unigeoseg.data.store.dataset import Dataset

    opened = Dataset.open(dataset)
    if layout is Format.BENCHMARK:
        export_benchmark(opened, output, split=split)
    else:
        EXPORTS[layout.value](opened, output)
    say(f"wrote {output}")


@app.command("import")
def import_(
    benchmark: Annotated[Path, typer.Argument(help="Folder in the layout of GeoSeg-Bench.")],
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="A new directory.")],
    licence: Annotated[str, typer.Option(help="Of its images and masks.")],
) -> None:
    """Turn a benchmark in the released layout into a dataset."""
    from unigeoseg.data.exchange.importing import import_benchmark

    imported = import_benchmark(benchmark, output, licence)
    say(f"{imported.summary.triplets:,} triplets in {output}")


@app.command("bench")
def bench(
    folders: Folders = None,
    *,
    source: Sources = None,
    patches: Annotated[int, typer.Option(min=1, help="Most patches.")] = 64,
    size: Size = 512,
    stride: Stride = 256,
) -> None:
    """Time one process from decoded patches to files, by stage, with the offline judge."""
    from unigeoseg.data.builder.plan import Options
    from unigeoseg.data.builder.tools import offline_stages
    from unigeoseg.profiling.engine import engine_table, profile_engine
    from unigeoseg.report.terminal import print_table

    options = Options(size=size, stride=stride)
    stages = offline_stages(options.seed)
    speed = profile_engine(_places(folders, source), options, stages, limit=patches)
    print_table(engine_table(speed))
