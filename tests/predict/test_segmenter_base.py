"""Scenes under Base: letterboxed views, prompts that reuse an image, words, and bad input."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import scenes
import tiny_base
import torch
from rasterio.windows import Window

from unigeoseg.errors import BandsError, EmptyInstructionError, OptionError, PromptError
from unigeoseg.geo.grid import Grid
from unigeoseg.geo.raster import open_scene
from unigeoseg.model.base.chat import ChatProcessor
from unigeoseg.model.io import checkpoint
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.processor import letterbox
from unigeoseg.predict.output.schema import ANSWER, COLUMNS
from unigeoseg.predict.scene_to_files import SceneJob, segment_to_files
from unigeoseg.predict.segmenter import Segmenter
from unigeoseg.predict.session import NO_TARGET
from unigeoseg.predict.views import View, ViewConfig, plan_views
from unigeoseg.prompt import Box, Point, Prompt, Task

pytest.importorskip("transformers", reason="Base needs the extra 'base'")

TEXT = "the roof"


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    torch.manual_seed(0)
    config = tiny_base.config()
    network = UniGeoSegNetwork(config).eval()
    return Segmenter(network, ChatProcessor(tiny_base.tokenizer(), config))


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (40, 90, 3), dtype=np.uint8)


def whole_pass(segmenter, square, prompt, size):
    """Mask logits by the plain forward, which reads everything in one pass."""
    values = segmenter.processor.pixel_values(square.transpose(2, 0, 1)[None])
    inputs = segmenter.processor.prompts([prompt], [0], size)
    with torch.no_grad():
        return segmenter.network(values, inputs).logits[0].numpy()


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt.from_text(TEXT),
        Prompt.from_text("where do people live?", Task.REASONING),
        Prompt.from_box(Box(10, 5, 30, 20)),
        Prompt.from_points([Point(10.5, 5.5), Point(12.5, 6.5)]),
    ],
)
def test_a_remembered_image_gives_the_plain_forward(segmenter, pixels, prompt):
    logits = whole_pass(segmenter, letterbox(pixels, 64), prompt, (40, 90))
    large = cv2.resize(logits, (64, 64))[18:46]  # int(40 * 64 / 90) = 28 rows, in the middle
    expected = 1 / (1 + np.exp(-cv2.resize(np.ascontiguousarray(large), (90, 40))))
    with segmenter.open(pixels) as session:
        session.segment(["something else first"])
        (found,) = session.segment([prompt])
    np.testing.assert_allclose(found.score, expected, atol=1e-5)
    assert found.score.shape == (40, 90)
    assert 0 < found.confidence < 1


def test_prompts_of_different_lengths_do_not_touch_each_other(segmenter, pixels):
    asked = ["roof", "the long grey road between the two fields at the top"]
    with segmenter.open(pixels) as session:
        together = session.segment(asked)
        apart = [session.segment([text])[0] for text in asked]
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_allclose(one.score, other.score, atol=1e-5)


def test_an_image_is_encoded_and_read_once(segmenter, pixels):
    calls, read = [], []
    network = segmenter.network
    hooks = [
        network.encoder.register_forward_hook(lambda *_: calls.append(1)),
        network.language.model.register_forward_pre_hook(
            lambda _, __, given: read.append(given["inputs_embeds"].shape[1]), with_kwargs=True
        ),
    ]
    with segmenter.open(pixels) as session:
        session.segment([TEXT, "the road"])
        session.segment([Box(1, 1, 20, 20)])
        session.segment([TEXT])
    for hook in hooks:
        hook.remove()
    assert len(calls) == 1
    assert len(read) == 3
    assert read[0] > read[2]  # the image's token came with the first prompts, and the prefix never
    assert read[2] < len(segmenter.network.config.language.prefix)


def test_large_scenes_are_seen_in_windows_at_their_own_scale():
    views = ViewConfig.for_square(64)
    assert (views.tile, views.square, views.single_view) == (64, 64, 1280)

    grid = Grid.of_image(2000, 1500)
    for view in plan_views(Prompt.from_text(TEXT), grid, views):
        assert view == View(view.window, (64, 64), letterbox=True)
        assert (view.window.width, view.window.height) == (64, 64)
    (view,) = plan_views(Prompt.from_points([Point(1000, 700)]), grid, views)
    assert view.window == Window(968, 668, 64, 64)
    (view,) = plan_views(Prompt.from_points([Point(5, 7)]), Grid.of_image(90, 40), views)
    assert view.window == Window(0, 0, 90, 40)


def test_restoring_undoes_the_letterbox():
    columns = np.linspace(-1, 1, 128, dtype=np.float32)
    view = View(Window(0, 0, 128, 64), (512, 512), letterbox=True)
    square = np.tile(columns, (128, 1))
    square[:32] = square[96:] = 9
    restored = view.restore(square)
    assert restored.shape == (64, 128)
    np.testing.assert_allclose(restored[10:-10], np.tile(columns, (44, 1)), atol=0.02)


def test_words_are_those_of_a_loop_without_a_cache(segmenter, pixels):
    with segmenter.open(pixels) as session:
        (found,) = session.segment([Prompt.from_text(TEXT)], answer=True)
        if not found.mask.any():
            pytest.fail("the seeded network finds something here; choose another seed")
    network, processor = segmenter.network, segmenter.processor
    values = processor.pixel_values(letterbox(pixels, 64).transpose(2, 0, 1)[None])
    inputs = processor.prompts([Prompt.from_text(TEXT)], [0], (40, 90))
    said: list[int] = []
    with torch.no_grad():
        image = network.encode(values)
        text = network._enhanced(inputs)
        while len(said) < processor.style.limit:
            ids = torch.tensor([[*processor.style.opening, *said]])
            row = torch.cat([text, network.language.embed(ids)], dim=1)
            mask = torch.ones(row.shape[:2], dtype=torch.bool)
            hidden, _, _ = network.language(row, mask, image.tokens)
            token = int(network.language.head(hidden[0, -1]).argmax())
            if token in processor.style.ending:
                break
            said.append(token)
    assert said
    assert found.answer == processor.words(said)


def test_words_on_many_tiles_are_of_a_tile_that_was_read(segmenter, tmp_path, monkeypatch):
    """Few tiles are remembered; the one that shows the most is read again."""
    noise = np.random.default_rng(0).integers(0, 256, (3, 40, 1300), dtype=np.uint8)
    noise[:, :, 200:] //= 8
    path = scenes.write(tmp_path / "strip.tif", noise, crs="EPSG:32650", transform=scenes.UTM50)
    answer, read_tokens = segmenter.network.answer, []

    def counted(image, *prompts_and_style):
        read_tokens.append(image.context[0][0].shape[-2])  # keys of the first layer
        return answer(image, *prompts_and_style)

    monkeypatch.setattr(segmenter.network, "answer", counted)
    with segmenter.open(path) as few, segmenter.open(path) as all_tiles:
        all_tiles._capacity = 1000
        (forgetful,) = few.segment([TEXT], answer=True)
        (remembering,) = all_tiles.segment([TEXT], answer=True)
        assert len(few._encoded) < len(all_tiles._encoded)
    assert remembering.mask.any()
    assert forgetful.answer == remembering.answer != NO_TARGET
    out = tmp_path / "out.geojson"
    with open_scene(path) as scene:
        job = SceneJob(prompts=[TEXT], paths=[out], answer=True)
        (summary,) = segment_to_files(segmenter, scene, job)
    rows = [feature["properties"] for feature in json.loads(out.read_text())["features"]]
    assert summary.answer == remembering.answer
    assert len(read_tokens) == 3 and len(set(read_tokens)) == 1
    assert read_tokens[0] > segmenter._start[0][0].shape[-2]  # the image, after the prefix
    assert {row["answer"] for row in rows} == {remembering.answer}
    assert list(rows[0]) == [column.name for column in (*COLUMNS, ANSWER)]


def test_an_empty_mask_has_no_target(segmenter, pixels, monkeypatch):
    decode = segmenter.network.decode

    def nothing(image, prompts):
        output = decode(image, prompts)
        output.logits.fill_(-9)
        return output

    monkeypatch.setattr(segmenter.network, "decode", nothing)
    found = segmenter(pixels, TEXT, answer=True)
    assert found.answer == NO_TARGET
    assert not found.mask.any()


def test_the_answer_goes_with_the_features(segmenter, tmp_path: Path):
    path = scenes.write(tmp_path / "scene.tif", np.full((3, 40, 40), 90, np.uint8))
    found = segmenter(path, TEXT, answer=True)
    assert isinstance(found.answer, str)
    for feature in found.features():
        assert feature.properties["answer"] == found.answer
    plain = segmenter(path, TEXT)
    assert plain.answer is None
    assert all("answer" not in feature.properties for feature in plain.features())


def test_nano_has_no_words():
    segmenter = Segmenter.from_pretrained()
    with pytest.raises(OptionError, match="'nano' gives masks and no words"):
        segmenter(np.zeros((40, 40, 3), np.uint8) + 80, TEXT, answer=True)


def test_half_precision_is_close(segmenter, pixels, tmp_path):
    checkpoint.save_model(tmp_path, segmenter.network, segmenter.processor)
    half = Segmenter.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert next(half.network.parameters()).dtype == torch.bfloat16
    for prompt in (TEXT, Box(10, 5, 30, 20)):
        apart = half(pixels, prompt).score - segmenter(pixels, prompt).score
        assert np.abs(apart).mean() < 0.05
    assert isinstance(half(pixels, TEXT, answer=True).answer, str)


@pytest.mark.parametrize("shape", [(1, 1), (5, 31), (20, 20, 3), (3, 9, 17)])
def test_small_and_grey_images_are_enlarged(segmenter, shape):
    found = segmenter(np.full(shape, 120, np.uint8), TEXT)
    assert found.score.shape == found.grid.shape
    assert np.isfinite(found.score).all()


def test_five_bands_are_read_and_missing_ones_refused(segmenter, tmp_path):
    five = np.random.default_rng(0).integers(0, 256, (5, 40, 40), dtype=np.uint8)
    assert segmenter(five, TEXT).score.shape == (40, 40)
    path = scenes.write(tmp_path / "five.tif", five)
    with pytest.raises(BandsError, match="6"):
        open_scene(path, (6, 2, 1))


@pytest.mark.parametrize(
    ("prompt", "error", "words"),
    [
        ("", EmptyInstructionError, "say what to segment"),
        (" ".join(["word"] * 400), PromptError, "shorten it"),
        (
            Prompt.from_points([Point(5, 5), Point(9, 9, positive=False)]),
            PromptError,
            "no points to leave out",
        ),
    ],
)
def test_prompts_that_cannot_be_read(segmenter, pixels, prompt, error, words):
    with pytest.raises(error, match=words):
        segmenter(pixels, prompt)


def test_other_languages_and_ten_points_are_read(segmenter, pixels):
    assert segmenter(pixels, "die Dächer am Fluß, 河边的房子").score.shape == (40, 90)
    ten = [Point(5.5 + 3 * index, 9.5) for index in range(10)]
    assert segmenter(pixels, ten).score.shape == (40, 90)
