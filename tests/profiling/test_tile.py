"""10,000 samples are scored in less than 20 seconds, and memory hardly grows with their number."""

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from places import ROOT

from unigeoseg.data.patches.patch import Patch
from unigeoseg.data.store.rows import image_row, triplet_row
from unigeoseg.data.store.shard_writer import DatasetWriter
from unigeoseg.data.store.summary import write_summary
from unigeoseg.evaluate.predictions import Prediction
from unigeoseg.geo.masks import encode_mask
from unigeoseg.prompt import Prompt, Task
from unigeoseg.sample import Sample

SIDE = 512
SCORED = (
    "import resource, sys, time; from unigeoseg.cli import main; began = time.perf_counter();"
    "sys.argv = ['unigeoseg', 'bench', 'score', *sys.argv[1:]]\n"
    "try: main()\n"
    "except SystemExit as end: assert not end.code\n"
    "peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
    "sys.stderr.write(f'{time.perf_counter() - began:.1f} s {peak:.0f} MB')"
)


def write(out: Path, count: int) -> Path:
    """Shards of smooth random blobs, five an image, and predictions that are a little off."""
    rng = np.random.default_rng(0)
    out.mkdir()
    predictions = out.with_suffix(".jsonl")
    with DatasetWriter(out) as shards, predictions.open("w") as lines:
        for index in range(count // 5):
            pixels = np.full((SIDE, SIDE, 3), index % 255, np.uint8)
            regions = np.zeros((SIDE, SIDE), np.uint16)
            key = f"{index}.png"
            patch = Patch("blobs", key, 0, 0, key, "CC0-1.0", None, None, pixels, regions, {})
            for number in range(5):
                coarse = rng.standard_normal((24, 24)).astype(np.float32)
                mask = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) > 1
                prompt = Prompt.from_text(f"blob {number}", Task.REFERRING)
                sample = Sample(
                    patch.id, SIDE, SIDE, prompt, encode_mask(mask), "blob", "blobs", "CC0-1.0",
                    key, family="referring", split="test",
                )  # fmt: skip
                shards.write_triplet(triplet_row(sample))
                found = encode_mask(np.roll(mask, 5, 1))
                lines.write(Prediction(sample.id, found, 0.5, "", 0.1).line())
            shards.write_image(image_row(patch, None))
    write_summary(out, shards.counts(), {})
    return predictions


def measured(predictions: Path, suite: Path) -> tuple[float, float]:
    """Seconds and MB of the command."""
    done = subprocess.run(
        [sys.executable, "-c", SCORED, str(predictions), "--suite", str(suite)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": "src"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    found = re.search(r"([\d.]+) s (\d+) MB", done.stderr)
    assert found
    return float(found[1]), float(found[2])


@pytest.mark.slow
def test_ten_thousand_samples(tmp_path: Path, record_property):
    _, little = measured(write(tmp_path / "few", 1000), tmp_path / "few")
    seconds, much = measured(write(tmp_path / "many", 10_000), tmp_path / "many")
    record_property("seconds", seconds)
    print(f"{seconds} s, {much} MB; 1,000 samples {little} MB")  # noqa: T201 - a measurement
    assert seconds < 20
    assert much - little < 100
