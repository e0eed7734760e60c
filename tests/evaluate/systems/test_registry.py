"""Systems by name: servers, and SAM of transformers with tiny random weights."""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

from unigeoseg.errors import (
    CheckpointNotFoundError,
    DataError,
    OnlineRequestError,
    OnlineUnavailableError,
)
from unigeoseg.evaluate.systems.registry import load_system
from unigeoseg.geo.masks import encode_mask
from unigeoseg.prompt import Box, Point, Prompt

PIXELS = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
ASKED = [
    Prompt.from_box(Box(3, 4, 20, 30)),
    Prompt.from_points([Point(5, 6), Point(9, 9, positive=False)]),
    Prompt.from_text("the roof"),
]


@contextmanager
def serving(reply: Callable[[dict], object], status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(reply(asked)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def boxes_alone(asked: dict) -> dict:
    """A server that sees the image, and fills boxes."""
    content = np.frombuffer(base64.b64decode(asked["image"]), np.uint8)
    assert np.array_equal(cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1], PIXELS)
    assert asked["prompts"][1]["points"] == [[5, 6, True], [9, 9, False]]
    answers = []
    for prompt in asked["prompts"]:
        mask = np.zeros(PIXELS.shape[:2], bool)
        if prompt["box"]:
            x0, y0, x1, y1 = map(int, prompt["box"])
            mask[y0:y1, x0:x1] = True
            answers.append({"rle": encode_mask(mask), "score": 0.7, "answer": prompt["task"]})
        else:
            answers.append(None)
    return {"answers": answers}


def test_a_system_behind_a_server():
    with serving(boxes_alone) as url:
        box, *others = load_system(url)(PIXELS, ASKED)
    assert box.mask.sum() == 17 * 26 and box.mask[4, 3]
    assert (box.score, box.words) == (0.7, "interactive") and others == [None, None]


@pytest.mark.parametrize(
    ("status", "reply", "error"),
    [
        (500, {}, OnlineUnavailableError),
        (404, {}, OnlineRequestError),
        (200, {}, DataError),
        (200, [], DataError),
        (200, {"answers": []}, DataError),
        (200, {"answers": [{"rle": encode_mask(np.ones((2, 2), bool))}] * 3}, DataError),
        (200, {"answers": [{"rle": {"size": [40, 60], "counts": "1"}}] * 3}, DataError),
        (200, {"answers": [{"rle": {"size": [40, 60], "counts": 1}}] * 3}, DataError),
    ],
)
def test_a_server_that_fails(status, reply, error):
    with serving(lambda _: reply, status) as url, pytest.raises(error):
        load_system(url)(PIXELS, ASKED)


def test_a_reply_may_leave_out_and_add_fields():
    rle = encode_mask(np.ones((40, 60), bool))
    entry = {"rle": rle, "score": None, "answer": None, "model": "theirs"}
    with serving(lambda _: {"answers": [entry] * 3, "took": 1}) as url:
        answers = load_system(url)(PIXELS, ASKED)
    assert [(answer.score, answer.words) for answer in answers] == [(1.0, "")] * 3


def test_a_reply_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("unigeoseg.evaluate.systems.remote._LARGEST_REPLY", 1000)
    with (
        serving(lambda _: {"answers": ["x" * 2000]}) as url,
        pytest.raises(DataError, match="has more than"),
    ):
        load_system(url)(PIXELS, ASKED)


def test_the_entry_that_is_wrong_is_named():
    entry = {"rle": encode_mask(np.ones((40, 60), bool))}
    with (
        serving(lambda _: {"answers": [entry, entry | {"score": "high"}, None]}) as url,
        pytest.raises(DataError, match="answer 2: score: 'high' is str"),
    ):
        load_system(url)(PIXELS, ASKED)


@pytest.mark.parametrize("url", ["http:nowhere", "http://"])
def test_an_address_without_a_host(url):
    with pytest.raises(OnlineUnavailableError):
        load_system(url)(PIXELS, ASKED)


def test_a_server_that_is_not_there():
    with serving(boxes_alone) as url:
        pass
    with pytest.raises(OnlineUnavailableError, match="start the server"):
        load_system(url)(PIXELS, ASKED)


PROMPTS = {"hidden_size": 16, "patch_size": 16, "mask_input_channels": 4}
DECODER = {"hidden_size": 16, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
DECODER |= {"iou_head_hidden_dim": 16, "iou_head_depth": 2}


def write_sam(folder: Path) -> None:
    import transformers

    vision = {"hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1}
    vision |= {"num_attention_heads": 2, "image_size": 64, "patch_size": 16, "window_size": 2}
    vision |= {"global_attn_indexes": [0], "num_pos_feats": 8, "mlp_dim": 16}
    config = transformers.SamConfig(
        vision_config=vision,
        prompt_encoder_config=PROMPTS | {"image_size": 64},
        mask_decoder_config=DECODER,
    )
    transformers.SamModel(config).save_pretrained(folder)


def write_sam2(folder: Path) -> None:
    import transformers

    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[128, 128],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        blocks_per_stage=[1, 1, 1, 1],
        window_size_per_stage=[8, 4, 8, 4],
        global_attention_blocks=[],
    )
    vision = {"backbone_config": backbone, "backbone_channel_list": [64, 32, 16, 8]}
    vision |= {"backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]], "fpn_hidden_size": 16}
    config = transformers.Sam2Config(
        vision_config=vision,
        prompt_encoder_config=PROMPTS | {"image_size": 128},
        mask_decoder_config=DECODER,
    )
    transformers.Sam2Model(config).save_pretrained(folder)


@pytest.mark.parametrize("kind", ["sam", "sam2"])
def test_sam_takes_points_and_boxes(kind, tmp_path):
    pytest.importorskip("transformers")
    {"sam": write_sam, "sam2": write_sam2}[kind](tmp_path)
    box, points, text = load_system(f"{kind}:{tmp_path}")(PIXELS, ASKED)
    for answer in (box, points):
        assert answer.mask.shape == (40, 60) and 0 <= answer.score <= 1
    assert text is None


def write_sam3(folder: Path) -> None:
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    small = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
    backbone = small | {"model_type": "sam3_vit_model", "num_hidden_layers": 1}
    backbone |= {"image_size": 112, "patch_size": 14, "window_size": 4, "global_attn_indexes": [0]}
    vision = {"backbone_config": backbone | {"pretrain_image_size": 112}, "fpn_hidden_size": 16}
    text = small | {"vocab_size": 64, "projection_dim": 16, "num_hidden_layers": 1}
    text |= {"max_position_embeddings": 32, "eos_token_id": 2, "bos_token_id": 1}
    config = transformers.Sam3Config(
        vision_config=vision | {"backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]]},
        text_config=text | {"pad_token_id": 0},
        geometry_encoder_config=small | {"num_layers": 1},
        detr_encoder_config=small | {"num_layers": 1},
        detr_decoder_config=small | {"num_layers": 1, "num_queries": 5},
        mask_decoder_config={"hidden_size": 16, "num_attention_heads": 2},
    )
    transformers.Sam3Model(config).save_pretrained(folder)
    words = {"<pad>": 0, "<s>": 1, "</s>": 2, "the": 3, "roof": 4, "<unk>": 5}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>"
    ).save_pretrained(folder)


def test_sam3_takes_phrases(tmp_path, monkeypatch):
    pytest.importorskip("transformers")
    write_sam3(tmp_path)
    system = load_system(f"sam3:{tmp_path}")
    (nothing,) = system(PIXELS, ASKED[2:])
    assert nothing.mask.shape == (40, 60) and nothing.score < 0.5 and not nothing.mask.any()
    monkeypatch.setattr("unigeoseg.evaluate.systems.sam._CONFIDENCE", 0.0)
    (union,) = system(PIXELS, ASKED[2:])
    assert union.score == nothing.score and union.mask.any()


def test_sam_sees_what_its_publisher_shows_it():
    from unigeoseg.evaluate.systems.sam import SAM_FAMILIES, SquareFrame

    frame = SquareFrame.of(PIXELS, SAM_FAMILIES["sam"], 120)
    assert frame.inner == (80, 120) and frame.values.shape == (1, 3, 120, 120)
    assert not frame.values[..., 80:, :].any() and frame.values[..., :80, :].any()
    assert frame.scaled([[30, 20]]).tolist() == [[60, 40]]
    square = SquareFrame.of(PIXELS, SAM_FAMILIES["sam3"], 120)
    assert square.scaled([[30, 20]]).tolist() == [[60, 60]]
    assert -1 <= square.values.min() and square.values.max() <= 1


@pytest.mark.parametrize("kind", ["sam", "sam2", "sam3"])
def test_sam_without_weights_is_one_clear_line(kind, tmp_path):
    with pytest.raises(CheckpointNotFoundError, match=f"{kind}:owner/name"):
        load_system(f"{kind}:nowhere")
    with pytest.raises(CheckpointNotFoundError, match="has no config"):
        load_system(f"{kind}:{tmp_path}")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointNotFoundError, match="holds no"):
        load_system(f"{kind}:{tmp_path}")(PIXELS, ASKED[:1])
