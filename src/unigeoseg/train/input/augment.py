"""The same thing in other pixels and words, as another sensor or another person would give it."""

import cv2
import numpy as np

_LEFT_OUT = 0.2  # chance of a word to be left out
_STAYING = 3  # words that stay in any case


def augment_pixels(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change pixels (H, W, 3) uint8: contrast, brightness, colour, haze, bands, blur."""
    if rng.random() < 0.15:
        pixels = cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(0.5, 1.3)))
    values = pixels.astype(np.float32)
    gain = rng.uniform(0.75, 1.3) * rng.uniform(0.92, 1.08, 3)
    values = (values - 127) * gain.astype(np.float32) + 127 + np.float32(rng.uniform(-25, 25))
    if rng.random() < 0.1:
        haze = np.float32(rng.uniform(0.1, 0.45))
        values = values * (1 - haze) + 235 * haze
    if rng.random() < 0.12:  # panchromatic, or one band shown as grey
        band = int(rng.integers(4))
        grey = values.mean(axis=2) if band == 3 else values[..., band]
        values = np.repeat(grey[..., None], 3, axis=2)
    elif rng.random() < 0.1:  # false colour
        values = values[..., rng.permutation(3)]
    return np.clip(values, 0, 255).astype(np.uint8)


def augment_words(text: str, rng: np.random.Generator) -> str:
    """Leave words out, so that no single one carries a question's meaning.

    Source: word dropout (Iyyer et al., Deep Unordered Composition, ACL 2015).
    """
    words = text.split()
    chances = rng.random(len(words))
    limit = min(_LEFT_OUT, *np.sort(chances)[-_STAYING:])
    return " ".join(word for word, chance in zip(words, chances, strict=True) if chance >= limit)
