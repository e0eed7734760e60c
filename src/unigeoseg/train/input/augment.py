"""Data augmentation: other pixels and other words for the same thing.

Pixels vary as sensors, light and haze do; words as people do.
"""

import cv2
import numpy as np

_WORD_DROPOUT = 0.2  # probability of a word to be left out
_MIN_WORDS = 3  # words that stay in any case

_BLUR_PROBABILITY, _BLUR_SIGMA = 0.15, (0.5, 1.3)  # sigma in pixels
_GAIN, _CHANNEL_GAIN = (0.75, 1.3), (0.92, 1.08)  # contrast, of all channels and of each
_MID_GREY = 127  # contrast changes round it
_OFFSET = (-25, 25)  # brightness, in grey levels
_HAZE_PROBABILITY, _HAZE_OPACITY, _HAZE_GREY = 0.1, (0.1, 0.45), 235
_GREY_PROBABILITY = 0.12  # panchromatic images, or one band shown as grey
_FALSE_COLOUR_PROBABILITY = 0.1  # of what is not grey


def augment_pixels(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Photometric augmentation: blur, contrast, brightness, colour, haze and band order.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        rng: Source of randomness.
    """
    if rng.random() < _BLUR_PROBABILITY:
        pixels = cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(*_BLUR_SIGMA)))
    values = pixels.astype(np.float32)
    gain = rng.uniform(*_GAIN) * rng.uniform(*_CHANNEL_GAIN, 3)
    values = (values - _MID_GREY) * gain.astype(np.float32) + _MID_GREY
    values = values + np.float32(rng.uniform(*_OFFSET))
    if rng.random() < _HAZE_PROBABILITY:
        haze = np.float32(rng.uniform(*_HAZE_OPACITY))
        values = values * (1 - haze) + _HAZE_GREY * haze
    if rng.random() < _GREY_PROBABILITY:
        band = int(rng.integers(4))  # one of three, or their mean
        grey = values.mean(axis=2) if band == 3 else values[..., band]
        values = np.repeat(grey[..., None], 3, axis=2)
    elif rng.random() < _FALSE_COLOUR_PROBABILITY:
        values = values[..., rng.permutation(3)]
    return np.clip(values, 0, 255).astype(np.uint8)


def augment_words(text: str, rng: np.random.Generator) -> str:
    """Word dropout: words are left out, so that no single one carries a question's meaning.

    Source: Iyyer et al., Deep Unordered Composition, ACL 2015.
    """
    words = text.split()
    draws = rng.random(len(words))
    threshold = min(_WORD_DROPOUT, *np.sort(draws)[-_MIN_WORDS:])
    return " ".join(word for word, draw in zip(words, draws, strict=True) if draw >= threshold)
