"""Labelled imagery in, a dataset out (paper section 2): the whole way, in order.

read -> patches -> boxes -> candidates -> rules -> judge -> instructions -> cross-scores, unit by
unit (`unit`, `stages`), by one process, several, or a cluster (`runtime.workers`); then, over all
units, splits, near-duplicates and leaked_word, caps, shards (`merge`).

A build may be killed at any time and started again: whole units stay, everything else is done
anew, and the files are the same bytes in the end.
"""

import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path

from unigeoseg.data.builder.inputs import Place
from unigeoseg.data.builder.merge import select_triplets, write_shards
from unigeoseg.data.builder.plan import BuildPlan, make_plan
from unigeoseg.data.builder.tools import release_tools
from unigeoseg.data.builder.unit import WORK, Job
from unigeoseg.data.store.dataset import Dataset
from unigeoseg.data.store.summary import SUMMARY, write_summary
from unigeoseg.runtime.atomic import exclusive_directory, remove_leftovers
from unigeoseg.runtime.workers import Engine, check_workers, run_units

Progress = Callable[[int, int, int], None]
"""Called with the units done, all units, and the triplets written since the start."""


def build_dataset(
    job: Job,
    places: Iterable[Place],
    *,
    engine: Engine = "local",
    workers: int = 1,
    progress: Progress | None = None,
) -> Dataset:
    """Build a dataset, or resume its build; a finished one is only opened.

    Args:
        job: Where to, with what options, and by which tools.
        places: Row and directory of each source.
        engine: Which processes do the units; see `runtime.workers`.
        workers: How many at a time.
        progress: Called when a unit is done.

    Raises:
        DataError: If no source can be read, or, with `job.strict`, one or an image cannot.
        OptionError: If the directory holds another build, or one is at work in it.
        OutputError: If something cannot be written.
    """
    check_workers(engine, workers)
    plan = make_plan(places, job.options, strict=job.strict)
    if not plan.is_in(job.out):
        job.check()
    with exclusive_directory(job.out):
        plan.claim(job.out)
        if not (job.out / SUMMARY).exists():
            _do_units(job, plan, engine, workers, progress)
            _finish(job.out, plan)
        shutil.rmtree(job.out / WORK, ignore_errors=True)
        return Dataset.open(job.out)


def _do_units(
    job: Job, plan: BuildPlan, engine: Engine, workers: int, progress: Progress | None
) -> None:
    work = job.out / WORK
    remove_leftovers(work)
    pending = [unit for unit in plan.units if not (work / unit.name).exists()]
    finished, triplets = len(plan.units) - len(pending), 0
    try:
        for count in run_units(job, pending, engine=engine, workers=workers):
            finished, triplets = finished + 1, triplets + count
            if progress:
                progress(finished, len(plan.units), triplets)
    finally:
        release_tools()


def _finish(out: Path, plan: BuildPlan) -> None:
    remove_leftovers(out)
    for shard in out.glob("*.parquet"):  # of a run that was killed
        shard.unlink()
    folders = [out / WORK / unit.name for unit in plan.units]
    selection = select_triplets(folders, plan.options)
    selection = replace(selection, rejections=plan.rejections + selection.rejections)
    write_summary(out, write_shards(out, folders, selection), asdict(plan.options))
