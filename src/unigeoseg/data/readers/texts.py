"""Sources with instructions of their own: referring expressions, phrases, questions."""

from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from unigeoseg.data.annotated import LabelledObject, LabelledText
from unigeoseg.data.readers.coco import (
    Annotation,
    category_of,
    image_key,
    index_path,
    indexes,
    load,
    outlined,
)
from unigeoseg.data.readers.images import IMAGE_SUFFIXES, Decoded, read_codes
from unigeoseg.data.readers.reading import (
    MAX_INDEX_BYTES,
    Folder,
    Item,
    Labels,
    Reading,
    Refused,
    read_json,
    read_text,
)
from unigeoseg.data.readers.refs import load_refs
from unigeoseg.data.readers.shapes import from_mask
from unigeoseg.data.readers.walk import scene_of
from unigeoseg.data.source import Files, Index, filled, pattern_of, split_of
from unigeoseg.errors import DataError
from unigeoseg.prompt import Task

_HELD_OUT = ("test", "val", "train", "")  # an image of several splits belongs to the first


def refer_items(folder: Folder) -> list[Item]:
    """The images that referring expressions speak of, by path.

    An image whose expressions are in several splits is in the one most held out, so that no
    image both trains and tests.
    """
    items = []
    for path, index in indexes(folder):
        names = {number: name for name, number in load(folder.path(path)).images.items()}
        for number, refs in _refs_by_image(folder, index).items():
            name = names.get(number)
            if name is not None:
                key = image_key(folder, index, name)
                splits = {split_of(str(ref.get("split", ""))) for ref in refs}
                split = next(split for split in _HELD_OUT if split in splits)
                items.append(Item(key, scene_of(folder, key, key), split, path))
    return sorted(items, key=lambda item: item.key)


def refer_labels(reading: Reading, image: Decoded) -> Labels:
    """Referring expressions of an image and what they mean."""
    folder = reading.folder
    index = indexes(folder)[0][1]
    coco = load(reading.label_path)
    number = coco.images[reading.item.key.removeprefix(f"{index.images}/")]
    annotations = {
        entry["id"]: entry
        for entry in coco.annotations.get(number, ())
        if isinstance(entry.get("id"), int | str)
    }
    texts: list[LabelledText] = []
    for ref in _refs_by_image(folder, index)[number]:
        try:
            entry = annotations[ref["ann_id"]]
            category = category_of(reading, coco, entry.get("category_id"))
            target = _target(entry, category, image.pixels.shape[:2])
            texts += [
                LabelledText(_said(sentence["raw"]), Task.REFERRING, target, category)
                for sentence in ref["sentences"]
            ]
        except Refused as error:
            reading.note(error.rule, f"expression {ref.get('ref_id')}: {error}", error.value)
        except (KeyError, TypeError) as error:
            reading.note("broken_label", f"expression {ref.get('ref_id')} lacks {error}")
    return Labels(texts=texts)


def _target(entry: Annotation, category: int, shape: tuple[int, int]) -> LabelledObject:
    outline = entry.get("segmentation")
    target = outlined(category, outline, shape) if outline else None
    if target is None:
        raise Refused("outside_image", "its target has no pixel in the image")
    return target


def _refs_by_image(folder: Folder, index: Index) -> Mapping[Any, list[dict[str, Any]]]:
    below = index_path(folder, index.refs)
    if below is None:
        raise DataError(f"{folder.directory} lacks {index.refs[0]}, the referring expressions")
    return _grouped(folder.path(below))


@lru_cache(maxsize=4)
def _grouped(path: Path) -> Mapping[Any, list[dict[str, Any]]]:
    found: defaultdict[Any, list[dict[str, Any]]] = defaultdict(list)
    for ref in load_refs(path):
        if not isinstance(ref.get("image_id"), int | str):
            raise DataError(f"{path} has an expression whose image_id is no number: {ref}")
        found[ref["image_id"]].append(ref)
    return dict(found)


def phrase_items(folder: Folder) -> list[Item]:
    """The images that the files of phrases name, by path; their labels are the phrase files.

    An image that several files name is in the split most held out, with that file's phrases.
    """
    items: dict[str, Item] = {}
    for path, index in indexes(folder):
        files = _by_stem(folder.path(index.images))
        for stem in _phrases(folder.path(path)):
            key = f"{index.images}/{files.get(stem, f'{stem}.tif')}"
            held_out = items.get(key)
            if held_out is None or _HELD_OUT.index(index.split) < _HELD_OUT.index(held_out.split):
                items[key] = Item(key, scene_of(folder, key, key), index.split, path)
    return sorted(items.values(), key=lambda item: item.key)


def phrase_labels(reading: Reading, image: Decoded) -> Labels:
    """The phrases of an image; all mean the one mask of the same name."""
    folder, stem = reading.folder, Path(reading.item.key).stem
    index = next(index for path, index in indexes(folder) if path == reading.item.label)
    mask = _by_stem(folder.path(index.masks)).get(stem)
    if mask is None:
        raise Refused("missing_label", f"{index.masks}/{stem}.* is missing beside the image")
    target = _binary(folder.path(f"{index.masks}/{mask}"), image)
    return Labels(
        texts=[
            LabelledText(_said(text), Task.REFERRING, target, 0)
            for text in _phrases(reading.label_path)[stem]
        ]
    )


@lru_cache(maxsize=8)
def _phrases(path: Path) -> Mapping[str, tuple[str, ...]]:
    """Phrases by the stem of their image: lines `stem phrase`."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for line in read_text(path, MAX_INDEX_BYTES).splitlines():
        name, _, text = line.strip().partition(" ")
        if text:
            known = Path(name).suffix.lower() in IMAGE_SUFFIXES
            found[Path(name).stem if known else name].append(text)
    return {stem: tuple(texts) for stem, texts in found.items()}


@lru_cache(maxsize=8)
def _by_stem(directory: Path) -> Mapping[str, str]:
    """Image files of a folder by their stem."""
    files = sorted(directory.glob("*")) if directory.is_dir() else []
    return {path.stem: path.name for path in files if path.suffix.lower() in IMAGE_SUFFIXES}


def question_labels(reading: Reading, image: Decoded) -> Labels:
    """Questions with answers from a JSON file beside the image; an empty mask means nothing.

    The n-th answer belongs to the n-th question; with fewer answers the first belongs to all.
    """
    folder, item = reading.folder, reading.item
    content = read_json(reading.label_path)
    questions = content.get("questions") if isinstance(content, dict) else None
    if not isinstance(questions, list) or not questions:
        raise Refused("broken_label", f"{item.label} has no list of questions")
    answers = content.get("answers") or []
    target = _binary(folder.path(_mask_beside(folder, item)), image)
    return Labels(
        texts=[
            LabelledText(_said(text), Task.REASONING, target, 0, _answer(answers, number))
            for number, text in enumerate(questions)
        ]
    )


def _mask_beside(folder: Folder, item: Item) -> str:
    layout = folder.source.layout
    assert isinstance(layout, Files)
    matches = (pattern_of(template).fullmatch(item.key) for template in layout.images)
    return filled(layout.masks, next(filter(None, matches)).groupdict())


def _answer(answers: Any, number: int) -> str:  # noqa: ANN401 - from a file
    if not isinstance(answers, list) or not answers:
        return ""
    return str(answers[number] if number < len(answers) else answers[0]).strip()


def _said(text: Any) -> str:  # noqa: ANN401 - from a file
    said = " ".join(text.split()) if isinstance(text, str) else ""
    if not said:
        raise Refused("broken_label", "an instruction without text")
    return said


def _binary(path: Path, image: Decoded) -> LabelledObject | None:
    """What a mask shows in any value but 0; None if it shows nothing."""
    codes = read_codes(path)
    mask = codes > 0 if codes.ndim == 2 else (codes > 0).any(axis=2)
    shape = image.pixels.shape[:2]
    if mask.shape != shape:
        raise Refused("label_size", f"the mask is {mask.shape} (H, W), its image {shape}")
    return from_mask(0, np.asarray(mask, np.bool_))
