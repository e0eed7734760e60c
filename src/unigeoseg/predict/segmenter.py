"""The call users learn: a scene and a prompt in, a georeferenced mask out."""

from collections.abc import Sequence
from os import PathLike
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from unigeoseg.model.device import device_of
from unigeoseg.model.io import checkpoint
from unigeoseg.model.io.store import weights_directory
from unigeoseg.model.optimize import optimize_for_inference
from unigeoseg.model.precision import DtypeSetting, checked_dtype, inference_dtype
from unigeoseg.predict.result import Segmentation
from unigeoseg.predict.session import SceneLike, Session
from unigeoseg.predict.tile_pipeline import Progress
from unigeoseg.predict.view_predictor import ViewPredictor
from unigeoseg.prompt import Prompt, PromptLike


class Segmenter(ViewPredictor):
    """A network ready to segment scenes."""

    @classmethod
    def from_pretrained(
        cls,
        name: str | PathLike[str] = "nano",
        *,
        dtype: DtypeSetting = None,
        device: str | None = None,
        bits: Literal[8, 4] | None = None,
    ) -> "Segmenter":
        """Load "nano", "base" once it was pulled, a model directory, or "owner/name" on the hub.

        Its network is made fast for inference and can be neither trained nor saved; what
        `unigeoseg.model.io.checkpoint.load_model` gives can.

        Args:
            name: Which model.
            dtype: What the network computes in: "float32", "bfloat16", "float16", or "auto", which
                is float32, but bfloat16 for large networks on processors that multiply it; without
                it what the environment variable UNIGEOSEG_DTYPE says, else "auto".
            device: Where it computes: "cpu", "cuda", "cuda:1", "mps"; without it what the
                environment variable UNIGEOSEG_DEVICE says, else the CPU.
            bits: Of a weight of a large language part, to hold less in memory: 8, or 4 on CUDA.

        Raises:
            OptionError: If there is no such device or type, or the device cannot hold so few bits.
            CheckpointNotFoundError: If there is no such model on this machine.
            HubError: If a model of the hub cannot be fetched.
            CheckpointDamagedError: If its files cannot be used.
        """
        place = device_of(device)
        checked_dtype(dtype)  # before a model is fetched
        directory = weights_directory(name)
        kind = inference_dtype(dtype, checkpoint.read_config(directory), place, bits)
        network, processor = checkpoint.load_model(directory, dtype=kind, device=place, bits=bits)
        segmenter = cls(optimize_for_inference(network), processor)
        segmenter.directory = directory
        return segmenter

    def __call__(
        self,
        scene: SceneLike,
        prompt: PromptLike,
        *,
        answer: bool = False,
        progress: Progress | None = None,
    ) -> Segmentation:
        """Segment one target in one scene.

        Args:
            scene: A path of any raster that rasterio opens, an open `Scene`, or pixels
                (H, W), (H, W, 3) or (3, H, W).
            prompt: A text, a `Prompt`, a `Box`, a `Point`, or points of one target, in pixels
                of the scene (`Point.from_map` and `Box.from_map` take map coordinates).
            answer: Also ask for words; takes some seconds on a CPU.
            progress: Called as views are done.

        Raises:
            RasterError: If the scene cannot be read.
            PromptError: If the prompt is empty or off the scene.
            OptionError: If words are asked of a network that has none.
        """
        with self.open(scene) as session:
            return session.segment([prompt], answer=answer, progress=progress)[0]

    def masks(
        self, pixels: NDArray[np.uint8], prompts: Sequence[Prompt]
    ) -> list[NDArray[np.bool_]]:
        """Masks (H, W) bool of prompts on pixels (H, W, 3): the form that benchmarks call."""
        with self.open(pixels) as session:
            return [segmentation.mask for segmentation in session.segment(prompts)]

    def open(self, scene: SceneLike) -> Session:
        """Open a scene for several prompts; what is encoded for one serves the next."""
        return Session(self, scene)
