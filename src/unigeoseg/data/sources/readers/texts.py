"""Sources with instructions of their own: referring expressions, phrases, questions."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from unigeoseg.data.sources.annotated import LabelledObject, LabelledText
from unigeoseg.data.sources.readers.coco import (
    Annotation,
    category_of,
    check_size,
    entry,
    image_key,
    index_path,
    indexes,
    load,
    outlined,
    strays,
)
from unigeoseg.data.sources.readers.images import IMAGE_SUFFIXES, DecodedImage, read_mask_codes
from unigeoseg.data.sources.readers.reading import (
    MAX_INDEX_BYTES,
    Folder,
    ImageItem,
    Labels,
    Reading,
    RejectedError,
    read_label_json,
    read_label_text,
)
from unigeoseg.data.sources.readers.refs import load_refs
from unigeoseg.data.sources.readers.shapes import from_mask
from unigeoseg.data.sources.readers.walk import scene_group
from unigeoseg.data.sources.source import (
    IndexLayout,
    TemplateLayout,
    fill_template,
    parse_split,
    template_pattern,
)
from unigeoseg.errors import DataError
from unigeoseg.prompt import Task

_HELD_OUT = ("test", "val", "train", "")  # an image of several splits belongs to the first


def refer_items(folder: Folder) -> list[ImageItem]:
    """The images that referring expressions speak of, by path.

    An image whose expressions are in several splits is in the one most held out, so that no
    image both trains and tests.
    """
    items = []
    for path, index in indexes(folder):
        for name, refs in _refs_by_name(folder, path, index).items():
            if name:
                key = image_key(folder, index, name)
                splits = {ref["split"] for ref in refs}
                split = next(split for split in _HELD_OUT if split in splits)
                items.append(ImageItem(key, scene_group(folder, key, key), split, path))
    return sorted(items, key=lambda item: item.key)


def refer_strays(whole: Reading) -> None:
    """Note, for each index, every image that annotations or expressions are of and it lacks."""
    strays(whole)
    for path, index in indexes(whole.folder):
        lost = _refs_by_name(whole.folder, path, index).get("", ())
        for image, count in Counter(ref["image_id"] for ref in lost).items():
            detail = f"{count} expressions speak of image {image!r}, which {path} does not list"
            whole.note("missing_image", detail, count, 0)


def refer_labels(reading: Reading, image: DecodedImage) -> Labels:
    """Referring expressions of an image and what they mean.

    Raises:
        Refused: If the index has no entry for the image, or one of another size.
    """
    index, coco, name = entry(reading)
    check_size(coco, name, image.pixels.shape[:2])
    annotations = {
        each["id"]: each for each in coco.annotations[name] if isinstance(each.get("id"), int | str)
    }
    texts: list[LabelledText] = []
    for ref in _refs_by_name(reading.folder, reading.item.label, index).get(name, ()):
        try:
            meant = annotations.get(ref["ann_id"])
            if meant is None:
                raise RejectedError(
                    "broken_label", f"the image has no annotation {ref['ann_id']!r}"
                )
            category = category_of(reading, coco, meant.get("category_id"))
            target = _target(meant, category, image.pixels.shape[:2])
            texts += [
                LabelledText(_said(sentence["raw"]), Task.REFERRING, target, category)
                for sentence in ref["sentences"]
            ]
        except RejectedError as error:
            reading.note(error.rule, f"expression {ref.get('ref_id')}: {error}", error.value)
        except (KeyError, TypeError) as error:
            reading.note("broken_label", f"expression {ref.get('ref_id')} lacks {error}")
    return Labels(texts=texts)


def _target(annotation: Annotation, category: int, shape: tuple[int, int]) -> LabelledObject:
    outline = annotation.get("segmentation")
    target = outlined(category, outline, shape) if outline else None
    if target is None:
        raise RejectedError("outside_image", "its target has no pixel in the image")
    return target


def _refs_by_name(
    folder: Folder, path: str, index: IndexLayout
) -> Mapping[str, list[dict[str, Any]]]:
    """Expressions by the file name of their image; "" has those whose image is not listed."""
    below = index_path(folder, index.refs)
    if below is None:
        expected = " or ".join(index.refs) or 'a file named by "refs"'
        raise DataError(f"{folder.directory} lacks {expected}, the referring expressions")
    return _grouped(folder.path(below), folder.path(path))


@lru_cache(maxsize=4)
def _grouped(refs: Path, index: Path) -> Mapping[str, list[dict[str, Any]]]:
    names = load(index).names
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for ref in load_refs(refs):
        if not isinstance(ref.get("image_id"), int | str):
            raise DataError(f"{refs} has an expression whose image_id is no number: {ref}")
        split = parse_split(str(ref.get("split") or ""), refs)
        found[names.get(ref["image_id"], "")].append(ref | {"split": split})
    return dict(found)


def phrase_items(folder: Folder) -> list[ImageItem]:
    """The images that the files of phrases name, by path; their labels are the phrase files.

    An image that several files name is in the split most held out, with that file's phrases.
    """
    items: dict[str, ImageItem] = {}
    for path, index in indexes(folder):
        split = parse_split(index.split, folder.directory / path)
        files = _by_stem(folder.path(index.images))
        for stem in _phrases(folder.path(path)):
            key = image_key(folder, index, files.get(stem, f"{stem}.tif"))
            held_out = items.get(key)
            if held_out is None or _HELD_OUT.index(split) < _HELD_OUT.index(held_out.split):
                items[key] = ImageItem(key, scene_group(folder, key, key), split, path)
    return sorted(items.values(), key=lambda item: item.key)


def phrase_labels(reading: Reading, image: DecodedImage) -> Labels:
    """The phrases of an image; all mean the one mask of the same name."""
    folder, stem = reading.folder, Path(reading.item.key).stem
    index = next(index for path, index in indexes(folder) if path == reading.item.label)
    mask = _by_stem(folder.path(index.masks)).get(stem)
    if mask is None:
        raise RejectedError("missing_label", f"{index.masks}/{stem}.* is missing beside the image")
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
    for line in read_label_text(path, MAX_INDEX_BYTES).splitlines():
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


def question_labels(reading: Reading, image: DecodedImage) -> Labels:
    """Questions with answers from a JSON file beside the image; an empty mask means nothing.

    The n-th answer belongs to the n-th question; with fewer answers the first belongs to all.
    """
    folder, item = reading.folder, reading.item
    content = read_label_json(reading.label_path)
    questions = content.get("questions") if isinstance(content, dict) else None
    if not isinstance(questions, list) or not questions:
        raise RejectedError("broken_label", f"{item.label} has no list of questions")
    answers = content.get("answers") or []
    target = _binary(folder.path(_mask_beside(folder, item)), image)
    return Labels(
        texts=[
            LabelledText(_said(text), Task.REASONING, target, 0, _answer(answers, number))
            for number, text in enumerate(questions)
        ]
    )


def _mask_beside(folder: Folder, item: ImageItem) -> str:
    layout = folder.source.layout
    assert isinstance(layout, TemplateLayout)
    matches = (template_pattern(template).fullmatch(item.key) for template in layout.images)
    return fill_template(layout.masks, next(filter(None, matches)).groupdict())


def _answer(answers: Any, number: int) -> str:  # noqa: ANN401 - from a file
    if not isinstance(answers, list) or not answers:
        return ""
    return str(answers[number] if number < len(answers) else answers[0]).strip()


def _said(text: Any) -> str:  # noqa: ANN401 - from a file
    said = " ".join(text.split()) if isinstance(text, str) else ""
    if not said or said != said.encode(errors="ignore").decode():
        raise RejectedError(
            "broken_label", f"an instruction without text in Unicode: {said[:40]!r}"
        )
    return said


def _binary(path: Path, image: DecodedImage) -> LabelledObject | None:
    """What a mask shows in any value but 0; None if it shows nothing."""
    codes = read_mask_codes(path)
    mask = codes > 0 if codes.ndim == 2 else (codes > 0).any(axis=2)
    shape = image.pixels.shape[:2]
    if mask.shape != shape:
        raise RejectedError("label_size", f"the mask is {mask.shape} (H, W), its image {shape}")
    return from_mask(0, np.asarray(mask, np.bool_))
