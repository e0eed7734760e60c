"""Readers of sources with instructions: referring expressions, phrases, questions."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from unigeoseg.data.sources.annotated import LabelledObject, LabelledText
from unigeoseg.data.sources.readers.coco import (
    Annotation,
    annotation_category,
    available_indexes,
    check_image_size,
    coco_entry,
    first_existing,
    image_key,
    load_coco,
    object_from_segmentation,
    record_coco_orphans,
)
from unigeoseg.data.sources.readers.images import DecodedImage, read_mask_codes
from unigeoseg.data.sources.readers.reading import (
    MAX_INDEX_BYTES,
    Folder,
    ImageItem,
    Labels,
    Reading,
    RejectedError,
    check_label_size,
    read_label_json,
    read_label_text,
)
from unigeoseg.data.sources.readers.refs import load_refs
from unigeoseg.data.sources.readers.shapes import object_from_mask
from unigeoseg.data.sources.readers.walk import scene_group
from unigeoseg.data.sources.source import (
    IMAGE_SUFFIXES,
    IndexLayout,
    TemplateLayout,
    fill_template,
    parse_split,
    template_pattern,
)
from unigeoseg.errors import DataError
from unigeoseg.prompt import Task

_MOST_HELD_OUT_FIRST = ("test", "val", "train", "")  # an image of several splits is in the first
_MAX_TEXT_CHARS = 40  # of an instruction that a message shows


def refer_items(folder: Folder) -> list[ImageItem]:
    """The images that referring expressions refer to, by path.

    An image whose expressions are in several splits is in the one most held out, so that no
    image both trains and tests.
    """
    items = []
    for path, index in available_indexes(folder):
        for name, refs in _refs_by_name(folder, path, index).items():
            if name:
                key = image_key(folder, index, name)
                splits = {ref["split"] for ref in refs}
                split = next(split for split in _MOST_HELD_OUT_FIRST if split in splits)
                items.append(ImageItem(key, scene_group(folder, key, key), split, path))
    return sorted(items, key=lambda item: item.key)


def record_refer_orphans(source_reading: Reading) -> None:
    """Record, for each index, the images of annotations or expressions that it does not list."""
    record_coco_orphans(source_reading)
    for path, index in available_indexes(source_reading.folder):
        orphans = _refs_by_name(source_reading.folder, path, index).get("", ())
        for image, count in Counter(ref["image_id"] for ref in orphans).items():
            detail = f"{count} expressions speak of image {image!r}, which {path} does not list"
            source_reading.record("missing_image", detail, count, 0)


def refer_labels(reading: Reading, image: DecodedImage) -> Labels:
    """The referring expressions of an image, with their targets.

    Raises:
        RejectedError: If the index has no entry for the image, or one of another size.
    """
    index, coco, name = coco_entry(reading)
    check_image_size(coco, name, image.pixels.shape[:2])
    annotations = {
        annotation["id"]: annotation
        for annotation in coco.annotations[name]
        if isinstance(annotation.get("id"), int | str)
    }
    texts: list[LabelledText] = []
    for ref in _refs_by_name(reading.folder, reading.item.label, index).get(name, ()):
        try:
            annotation_of_ref = annotations.get(ref["ann_id"])
            if annotation_of_ref is None:
                raise RejectedError(
                    "broken_label", f"the image has no annotation {ref['ann_id']!r}"
                )
            category = annotation_category(reading, coco, annotation_of_ref.get("category_id"))
            target = _target(annotation_of_ref, category, image.pixels.shape[:2])
            texts += [
                LabelledText(_normalized_text(sentence["raw"]), Task.REFERRING, target, category)
                for sentence in ref["sentences"]
            ]
        except RejectedError as error:
            reading.record(error.rule, f"expression {ref.get('ref_id')}: {error}", error.value)
        except (KeyError, TypeError) as error:
            reading.record("broken_label", f"expression {ref.get('ref_id')} lacks {error}")
    return Labels(texts=texts)


def _target(annotation: Annotation, category: int, shape: tuple[int, int]) -> LabelledObject:
    outline = annotation.get("segmentation")
    target = object_from_segmentation(category, outline, shape) if outline else None
    if target is None:
        raise RejectedError("outside_image", "its target has no pixel in the image")
    return target


def _refs_by_name(
    folder: Folder, path: str, index: IndexLayout
) -> Mapping[str, list[dict[str, Any]]]:
    """Expressions by the file name of their image; "" has those whose image is not listed."""
    below = first_existing(folder, index.refs)
    if below is None:
        expected = " or ".join(index.refs) or 'a file named by "refs"'
        raise DataError(f"{folder.directory} lacks {expected}, the referring expressions")
    return _grouped(folder.path(below), folder.path(path))


@lru_cache(maxsize=4)
def _grouped(refs: Path, index: Path) -> Mapping[str, list[dict[str, Any]]]:
    names = load_coco(index).names
    refs_by_name: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for ref in load_refs(refs):
        if not isinstance(ref.get("image_id"), int | str):
            raise DataError(f"{refs} has an expression whose image_id is no number: {ref}")
        split = parse_split(str(ref.get("split") or ""), refs)
        refs_by_name[names.get(ref["image_id"], "")].append(ref | {"split": split})
    return dict(refs_by_name)


def phrase_items(folder: Folder) -> list[ImageItem]:
    """The images that the files of phrases name, by path; their labels are the phrase files.

    An image that several files name is in the split most held out, with that file's phrases.
    """
    items: dict[str, ImageItem] = {}
    for path, index in available_indexes(folder):
        split = parse_split(index.split, folder.directory / path)
        files = _by_stem(folder.path(index.images))
        for stem in _phrases(folder.path(path)):
            key = image_key(folder, index, files.get(stem, f"{stem}.tif"))
            held_out = items.get(key)
            if held_out is None or _MOST_HELD_OUT_FIRST.index(split) < _MOST_HELD_OUT_FIRST.index(
                held_out.split
            ):
                items[key] = ImageItem(key, scene_group(folder, key, key), split, path)
    return sorted(items.values(), key=lambda item: item.key)


def phrase_labels(reading: Reading, image: DecodedImage) -> Labels:
    """The phrases of an image; all mean the one mask of the same name."""
    folder, stem = reading.folder, Path(reading.item.key).stem
    index = next(index for path, index in available_indexes(folder) if path == reading.item.label)
    mask = _by_stem(folder.path(index.masks)).get(stem)
    if mask is None:
        raise RejectedError("missing_label", f"{index.masks}/{stem}.* is missing beside the image")
    target = _binary_mask(folder.path(f"{index.masks}/{mask}"), image)
    return Labels(
        texts=[
            LabelledText(_normalized_text(text), Task.REFERRING, target, 0)
            for text in _phrases(reading.label_path)[stem]
        ]
    )


@lru_cache(maxsize=8)
def _phrases(path: Path) -> Mapping[str, tuple[str, ...]]:
    """Phrases by the stem of their image: lines `stem phrase`."""
    phrases: defaultdict[str, list[str]] = defaultdict(list)
    for line in read_label_text(path, MAX_INDEX_BYTES).splitlines():
        name, _, text = line.strip().partition(" ")
        if text:
            is_file_name = Path(name).suffix.lower() in IMAGE_SUFFIXES
            phrases[Path(name).stem if is_file_name else name].append(text)
    return {stem: tuple(texts) for stem, texts in phrases.items()}


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
    target = _binary_mask(folder.path(_mask_beside(folder, item)), image)
    return Labels(
        texts=[
            LabelledText(
                _normalized_text(text), Task.REASONING, target, 0, _answer(answers, number)
            )
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


def _normalized_text(text: Any) -> str:  # noqa: ANN401 - from a file
    words = " ".join(text.split()) if isinstance(text, str) else ""
    if not words or words != words.encode(errors="ignore").decode():
        raise RejectedError(
            "broken_label", f"an instruction without text in Unicode: {words[:_MAX_TEXT_CHARS]!r}"
        )
    return words


def _binary_mask(path: Path, image: DecodedImage) -> LabelledObject | None:
    """The object of a binary mask, any value but 0; None if the mask is empty."""
    codes = read_mask_codes(path)
    mask = codes > 0 if codes.ndim == 2 else (codes > 0).any(axis=2)
    check_label_size("the mask is", mask.shape, image.pixels.shape[:2])
    return object_from_mask(0, np.asarray(mask, np.bool_))
