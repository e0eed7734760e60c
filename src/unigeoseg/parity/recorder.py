"""Recording by hooks: what a network computes on the way, under the golden tensors' names.

Legend: P prompts, L text tokens, T image tokens, D width.
"""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from unigeoseg.model.base.chat import IGNORED
from unigeoseg.model.network import UniGeoSegNetwork
from unigeoseg.model.values import PromptInputs, SegmentationOutput

Tensors = dict[str, Tensor]


class Recorder:
    """Hooks on the parts of Base; what they saw is in `tensors` after a forward pass."""

    def __init__(self, network: UniGeoSegNetwork) -> None:
        """Watch `network`, once entered."""
        self.network = network
        self.tensors: Tensors = {}
        self._norms = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Set the hooks."""
        network, record = self.network, self._record
        self._after(network.encoder.get_submodule("embed_norm"), self._patches)
        self._after(network.encoder, lambda maps: self._list("vision.res", maps, start=2))
        self._after(network.connector, lambda out: record("mm_projector.out", out))
        self._after(network.pixels, self._pixels)
        for index, layer in enumerate(network.pixels.get_submodule("layers").children()):
            self._after(layer, partial(record, f"pixel_decoder.encoder_layer{index}.out"))
        self._language()
        self._enhance()
        self._target()
        self._decoder()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the hooks."""
        self._stack.close()

    def _record(self, name: str, value: Tensor) -> None:
        self.tensors[name] = value.detach()

    def _list(self, stem: str, values: Any, start: int = 0) -> None:  # noqa: ANN401
        for index, value in enumerate(values, start):
            self._record(f"{stem}{index}", value)

    def _after(self, module: nn.Module, see: Callable[[Any], None]) -> None:
        hook = module.register_forward_hook(lambda _module, _args, out: see(out))
        self._stack.callback(hook.remove)

    def _patches(self, maps_BhwC: Tensor) -> None:
        self._record("vision.patch_embed", maps_BhwC.permute(0, 3, 1, 2))

    def _pixels(self, maps: tuple[Tensor, ...]) -> None:
        self._record("pixel_decoder.mask_features", maps[0])
        self._list("pixel_decoder.multi_scale.", maps[1:])

    def _language(self) -> None:
        model = self.network.language.model

        def record_inputs(_module: nn.Module, _args: object, arguments: dict[str, Tensor]) -> None:
            self._record("phi.inputs_embeds", arguments["inputs_embeds"])
            self._record("phi.attention_mask", arguments["attention_mask"])

        hook = model.register_forward_pre_hook(record_inputs, with_kwargs=True)
        self._stack.callback(hook.remove)
        for index, layer in enumerate(model.layers):
            self._after(layer, partial(self._record, f"phi.layer{index}.out"))
        last = model.final_layernorm
        self._after(last, lambda out: self._record("phi.last_hidden_state", out))

    def _enhance(self) -> None:
        enhance = self.network.enhance
        count: list[int] = []

        def template(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            text, _, present = args
            count[:] = present.sum(dim=1).tolist()
            self._per_prompt("tate.base_embed", text)

        def rows(_module: nn.Module, args: tuple[Tensor], out: Tensor) -> None:
            for index, length in enumerate(count):
                self._record(f"tate.coords_padded.{index}", args[0][index, :length])
                self._record(f"tate.coord_embed.{index}", out[index, :length])

        hook = enhance.interactive.register_forward_pre_hook(template)
        self._stack.callback(hook.remove)
        hook = enhance.interactive.project.register_forward_hook(rows)
        self._stack.callback(hook.remove)
        self._after(enhance.interactive, lambda out: self._per_prompt("tate.intera_embed", out))
        self._after(
            enhance.reasoning, lambda out: self._per_prompt("tate.reason_pooled", out[:, 0])
        )

    def _target(self) -> None:
        target: Any = self.network.target

        def record_pooled(_module: nn.Module, args: tuple[Any, ...]) -> None:
            self._per_prompt("seg.pooled_before_lkm", args[0][:, 0])

        def meet(_module: nn.Module, args: tuple[Tensor, ...]) -> None:
            pooled, hidden, instruction, _ = args
            self._per_prompt("seg.pooled_after_lkm", pooled[:, 0])
            for index, (row, mask) in enumerate(zip(hidden, instruction, strict=True)):
                words = row[mask]
                every = torch.cat([pooled[index], words])
                self._record(f"seg.pool_input.{index}", words)
                self._record(f"seg.embedding_all.{index}", every)
                self._record(f"seg.text_projector.{index}", _linear(target.text, every)[None])

        for module, hook in ((self.network.memory, record_pooled), (target, meet)):
            self._stack.callback(module.register_forward_pre_hook(hook).remove)
        self._after(target.direct, lambda out: self._rows("seg.origin_SEG_token_projector", out))
        self._after(target.image, lambda out: self._record("seg.local_project.0", out))
        self._after(target.perceiver, lambda out: self._rows("seg.d_layers", out))
        self._after(target.join, self._query)

    def _query(self, query: Tensor) -> None:
        self._record("seg.SEG_token_projector.0", query)
        self._record("predictor.in.SEG_embedding", query)

    def _decoder(self) -> None:
        decoder: Any = self.network.decoder
        for index, layer in enumerate(decoder.layers):
            self._after(layer, partial(self._queries, f"predictor.query_after_layer{index}"))
        self._after(decoder.norm, self._norm)

    def _norm(self, queries: Tensor) -> None:
        self._queries(f"predictor.decoder_norm.{self._norms}", queries)
        self._norms += 1

    def _queries(self, name: str, queries: Tensor) -> None:
        self._record(name, queries.transpose(0, 1))

    def _per_prompt(self, stem: str, values: Tensor) -> None:
        for index, value in enumerate(values):
            self._record(f"{stem}.{index}", value)

    def _rows(self, stem: str, values: Tensor) -> None:
        for index in range(len(values)):
            self._record(f"{stem}.{index}", values[index : index + 1])


def outcomes(output: SegmentationOutput, size: tuple[int, int]) -> Tensors:
    """The decoder's predictions and the final masks at the image's `size`, by golden names."""
    logits = output.logits.detach().unsqueeze(1)
    tensors = {"predictor.pred_masks": logits}
    for index, earlier in enumerate(output.earlier):
        tensors[f"predictor.aux_pred_masks.{index}"] = earlier.detach().unsqueeze(1)
    large = functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    tensors["eval_seg.mask_logits_upsampled"] = large
    for index, mask in enumerate(large[:, 0] > 0):
        tensors[f"eval_seg.pred_masks.{index}"] = mask.float()
    # neither a class nor a choice among queries is predicted
    tensors["predictor.pred_SEG_logits_is_none"] = torch.ones(1, dtype=torch.uint8)
    for layer in range(len(output.earlier) + 1):
        for side in ("query", "target"):
            tensors[f"train.match.{side}_idx.{layer}"] = torch.zeros(len(logits), 1).long()
    return tensors


def spans(prompts: PromptInputs, labels: Tensor, offset: int) -> Tensors:
    """The instruction's place and the labels in the whole sequence, by golden names.

    Args:
        prompts: Of the forward pass.
        labels: (P, L) int64.
        offset: How many tokens stand before the text.
    """
    return {
        "seg.refer_embedding_indices_expanded": functional.pad(
            prompts.instruction.long(), (offset, 0)
        ),
        "train.labels_expanded": functional.pad(labels, (offset, 0), value=IGNORED),
    }


def _linear(layer: nn.Linear, rows: Tensor) -> Tensor:
    """A linear layer without its hooks."""
    return functional.linear(rows, layer.weight, layer.bias)
