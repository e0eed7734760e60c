"""A build of tiny made imagery: a reader and tools that any worker process can load by name."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from unigeoseg.data.annotated import AnnotatedImage
from unigeoseg.data.candidate import Candidate
from unigeoseg.data.dataset import Dataset
from unigeoseg.data.draft import Draft
from unigeoseg.data.judge import Verdict
from unigeoseg.data.ledger import Reject, Rejection
from unigeoseg.data.offline import OfflineWriter
from unigeoseg.data.patch import Patch
from unigeoseg.data.pipeline import build
from unigeoseg.data.plan import Options
from unigeoseg.data.stages import Stages
from unigeoseg.data.unit import Job, Tools

BUILDING, WATER = 25, 20
OPTIONS = Options(seed=3, size=96, stride=64)


def write_towns(folder: Path, *, images: int = 20, side: int = 128) -> Path:
    """Write pictures of roofs on textured ground beside water, no two alike, with class masks."""
    folder.mkdir(parents=True)
    for index in range(images):
        rng = np.random.default_rng([images, index])
        coarse = rng.integers(60, 140, (6, 6, 3), dtype=np.uint8)
        pixels = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
        classes = np.zeros((side, side), np.uint8)
        for row in range(2):
            for column in range(2):
                width, height = rng.integers(14, 34, 2)
                x, y = column * 60 + rng.integers(2, 20), row * 50 + rng.integers(2, 14)
                pixels[y : y + height, x : x + width] = rng.integers(150, 255, 3)
                classes[y : y + height, x : x + width] = BUILDING
        pixels[-18:] = (20, 40, int(rng.integers(100, 200)))
        classes[-18:] = WATER
        cv2.imwrite(str(folder / f"{index:03}.png"), pixels[..., ::-1])
        cv2.imwrite(str(folder / f"{index:03}.mask.png"), classes)
    return folder


@dataclass(frozen=True)
class Towns:
    """Reads what `write_towns` wrote."""

    name: str
    directory: Path

    @property
    def items(self) -> Sequence[str]:
        return sorted(
            path.name for path in self.directory.glob("*.png") if ".mask." not in path.name
        )

    def read(self, item: str, reject: Reject) -> AnnotatedImage | None:
        pixels = cv2.imread(str(self.directory / item))
        if pixels is None:
            reject(Rejection("read", "unreadable", self.name, item, "not a whole picture"))
            return None
        mask = cv2.imread(str(self.directory / item.replace(".png", ".mask.png")), -1)
        return AnnotatedImage(
            source=self.name,
            key=item,
            group=f"{self.name}/{item[:2]}" if item[0] == "g" else f"{self.name}/{item}",
            licence="CC0-1.0",
            gsd_m=0.5,
            grid=None,
            pixels=np.ascontiguousarray(pixels[..., ::-1]),
            classes=mask.astype(np.uint16),
            labelled=frozenset({BUILDING, WATER}),
            split="test" if item.startswith("test") else "",
        )


class Content:
    """Judges and scores that everything is well."""

    name = "content"

    def judge(self, patch: Patch, candidates: Sequence[Candidate]) -> list[Verdict]:
        return [Verdict(True, scores={"whole": 1.0}) for _ in candidates]

    def score(self, patch: Patch, drafts: Sequence[Draft]) -> list[Verdict]:
        return [Verdict(True, scores={"clear": 0.5}) for _ in drafts]


def load() -> Tools:
    return Tools(Stages(OPTIONS.seed, Content(), OfflineWriter, (Content(),)))


def job(out: Path, options: Options = OPTIONS, **rest) -> Job:
    return Job(out, options, Towns, load, **rest)


def built(folder: Path, out: Path, options: Options = OPTIONS, **rest) -> Dataset:
    return build(job(out, options), {"towns": folder}, **rest)


def files(out: Path) -> dict[str, bytes]:
    """Every file below a directory, and what is in it."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


if __name__ == "__main__":
    built(Path(sys.argv[1]), Path(sys.argv[2]), workers=int(sys.argv[3]))
