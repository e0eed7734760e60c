"""unigeoseg bench select, rebuild, review, agreement, enter: the open benchmark and its review."""

from pathlib import Path
from typing import Annotated

import typer

from unigeoseg.cli.console import counter, progress, say
from unigeoseg.cli.suites import Data

VerdictFile = Annotated[Path, typer.Option("--verdicts", help="SQLite file of the verdicts.")]
IndexOption = Annotated[
    Path | None, typer.Option("--index", help="An index; the published one without it.")
]
Sources = Annotated[Path, typer.Argument(help="Folder with a folder per source.")]


def add_open_bench_commands(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("select")(select_command)
    app.command("rebuild")(rebuild_command)
    app.command("review")(review_command)
    app.command("agreement")(agreement_command)
    app.command("enter")(enter_command)


def select_command(
    dataset: Annotated[Path, typer.Argument(help="What unigeoseg data build made.")],
    *,
    data: Annotated[Path, typer.Option(help="Sets that models trained on, or a dataset of them.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The index, .jsonl.")],
    total: Annotated[int, typer.Option(min=1, help="How many samples.")] = 1000,
) -> None:
    """Choose samples of a dataset, balanced, of images that no training saw."""
    from unigeoseg.data.store.dataset import Dataset
    from unigeoseg.evaluate.open_bench.index import index_entries, write_index
    from unigeoseg.evaluate.open_bench.selection import select_samples, training_windows

    source = Dataset.open(dataset)
    selection = select_samples(source, training_windows(data), total=total)
    say(f"left out: {len(selection.trained)} images of groups for training or tuning")
    say(f"left out: {len(selection.leaks)} images that show what training saw")
    say(f"left out: {len(selection.unknown)} images with pixels that nobody knows")
    count = write_index(output, index_entries(source, selection.samples))
    say(f"wrote {count} samples to {output}")


def rebuild_command(
    data: Sources,
    *,
    output: Annotated[Path, typer.Option("-o", "--output", help="A new directory.")],
    index: IndexOption = None,
) -> None:
    """Cut the images of GeoSeg-Bench-Open again from their sources."""
    from unigeoseg.evaluate.open_bench.index import read_index, rebuild_dataset

    with progress("images") as bar:
        dataset = rebuild_dataset(read_index(index), data, output, counter(bar))
    say(f"{dataset.summary.triplets:,} samples in {output}")
    say(f"use it with: --data {output}")


def review_command(
    suite: Annotated[str, typer.Argument(help="A suite, or a folder of one.")],
    *,
    reviewer: Annotated[str, typer.Option(help="Who judges.")],
    verdicts: VerdictFile,
    data: Data = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Of this machine; 0 any.")] = 8765,
) -> None:
    """Serve a page on which one reviewer judges samples by keys; stop it with Ctrl-C."""
    from unigeoseg.evaluate.open_bench.review.server import ReviewPass, bind_review_server
    from unigeoseg.evaluate.open_bench.review.verdicts import VerdictStore
    from unigeoseg.evaluate.suites.opening import open_suite

    review = ReviewPass(open_suite(suite, data), VerdictStore(verdicts), reviewer)
    with bind_review_server(review, port, lambda url: say(f"open {url}")) as server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say(f"stopped; verdicts are in {verdicts}")


def agreement_command(
    verdicts: Annotated[
        Path, typer.Argument(help="File of the verdicts.", exists=True, dir_okay=False)
    ],
) -> None:
    """Say how two reviewers agree: Cohen's kappa, and the reasons for rejections."""
    from unigeoseg.evaluate.open_bench.review.verdicts import VerdictStore, reviewer_agreement

    agreement = reviewer_agreement(VerdictStore(verdicts).all())
    reviewers = " and ".join(agreement.reviewers)
    typer.echo(f"{reviewers} judged {agreement.shared} samples, alike on {agreement.agreed}")
    typer.echo(f"Cohen's kappa {agreement.kappa:.3f}")
    for reason, count in agreement.reasons.items():
        typer.echo(f"{count:6} {reason}")


def enter_command(
    *,
    verdicts: Annotated[
        Path, typer.Option(help="SQLite file of the verdicts.", exists=True, dir_okay=False)
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The index, .jsonl.")],
    index: IndexOption = None,
) -> None:
    """Keep the samples of an index that two reviewers accepted, in the words they agreed on."""
    from dataclasses import replace

    from unigeoseg.evaluate.open_bench.index import read_index, write_index
    from unigeoseg.evaluate.open_bench.review.verdicts import VerdictStore, accepted_samples

    judged = VerdictStore(verdicts).all()
    accepted = (
        replace(entry, sample=sample)
        for entry in list(read_index(index))
        for sample in accepted_samples([entry.sample], judged)
    )
    say(f"wrote {write_index(output, accepted)} samples to {output}")
