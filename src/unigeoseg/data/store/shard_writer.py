"""Writing the files of a dataset: images once, triplets many, the ledger; and counting them."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from unigeoseg.data.store.parquet import Row, ShardedWriter, TableWriter
from unigeoseg.data.store.schema import IMAGE_GROUP, IMAGES, LEDGER, TRIPLET_GROUP, TRIPLETS
from unigeoseg.data.store.summary import DatasetCounts, SourceCounts

IMAGE_SHARD, TRIPLET_SHARD = 1024, 100_000
"""Rows of a file: images of some 0.5 MB, triplets of some 0.5 kB."""
LEDGER_FILE = "ledger.parquet"


class DatasetWriter:
    """Writes the shards of a dataset and counts what is in them; a context manager.

    Triplets go in the order of their images, so that both can be read side by side.

    Args:
        out: Directory of the dataset.
    """

    def __init__(self, out: Path) -> None:
        self._images = ShardedWriter(out, "images", IMAGES, group=IMAGE_GROUP, shard=IMAGE_SHARD)
        self._triplets = ShardedWriter(
            out, "triplets", TRIPLETS, group=TRIPLET_GROUP, shard=TRIPLET_SHARD
        )
        self._ledger = TableWriter(out / LEDGER_FILE, LEDGER, group=TRIPLET_GROUP)
        self._sources: Counter[str] = Counter()
        self._licences: defaultdict[str, set[str]] = defaultdict(set)
        self._families: Counter[str] = Counter()
        self._splits: Counter[str] = Counter()
        self._rejections: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def __enter__(self) -> "DatasetWriter":
        """Open the files."""
        with ExitStack() as stack:
            for writer in (self._images, self._triplets, self._ledger):
                stack.enter_context(writer)
            self._open_files = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        """Close the files."""
        self._open_files.__exit__(kind, *details)  # type: ignore[arg-type]

    def write_image(self, row: Row) -> None:
        """Add a row of `schema.IMAGES`."""
        self._sources[row["source"]] += 1
        self._licences[row["source"]].add(row["licence"])
        self._images.write([row])

    def write_triplet(self, row: Row) -> None:
        """Add a row of `schema.TRIPLETS`."""
        self._families[row["family"]] += 1
        self._splits[row["split"]] += 1
        self._triplets.write([row])

    def write_rejections(self, rows: Iterable[Row]) -> None:
        """Add rows of `schema.LEDGER`."""
        for row in rows:
            self._rejections[row["stage"]][row["rule"]] += 1
            self._ledger.write([row])

    def counts(self) -> DatasetCounts:
        """Counts and licences of what was added, for the summary."""
        return DatasetCounts(
            images=self._sources.total(),
            triplets=self._families.total(),
            families=dict(self._families),
            splits=dict(self._splits),
            sources={
                source: SourceCounts(images=count, licences=sorted(self._licences[source]))
                for source, count in self._sources.items()
            },
            rejections={stage: dict(rules) for stage, rules in self._rejections.items()},
        )
