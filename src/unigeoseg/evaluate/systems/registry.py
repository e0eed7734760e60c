"""Systems under test by name.

A system gets pixels and prompts, nothing else, and gives a mask for each prompt. Its name is:

- fill-box, grab-cut, region-grow: baselines that need no learning.
- sam:NAME, sam2:NAME, sam3:NAME: a model of the `transformers` library, see `sam`.
- http://... or https://...: any system behind a server, see `remote`.
- Anything else: a UniGeoSeg model, as `Segmenter.from_pretrained` takes it.
"""

from collections.abc import Sequence
from functools import lru_cache

from unigeoseg.evaluate.systems.base import Answer, Pixels, Predictor
from unigeoseg.evaluate.systems.baselines import BASELINES
from unigeoseg.prompt import Prompt


@lru_cache(maxsize=1)
def load_system(name: str, *, words: bool = False) -> Predictor:
    """Load a system by its name, once per process.

    Args:
        name: One of the names above.
        words: Ask UniGeoSeg models for answers in words too.

    Raises:
        OptionError: If the name has no meaning.
        CheckpointError: If there are no weights of that name.
        MissingExtraError: If a library is not installed.
    """
    if name in BASELINES:
        return BASELINES[name]
    kind, colon, place = name.partition(":")
    if colon and kind in ("http", "https"):
        from unigeoseg.evaluate.systems.remote import RemoteSystem

        return RemoteSystem(name)
    if colon and kind in ("sam", "sam2", "sam3"):
        from unigeoseg.evaluate.systems.sam import load_sam

        return load_sam(kind, place)
    return _segmenter(name, words=words)


def _segmenter(name: str, *, words: bool) -> Predictor:
    from unigeoseg.predict.segmenter import Segmenter

    segmenter = Segmenter.from_pretrained(name)

    def answers(pixels: Pixels, prompts: Sequence[Prompt]) -> list[Answer | None]:
        with segmenter.open(pixels) as session:
            results = session.segment(prompts, answer=words)
        return [Answer(result.mask, result.confidence, result.answer or "") for result in results]

    return answers
