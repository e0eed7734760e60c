"""The data engine: labelled imagery in, image-mask-instruction triplets out; without torch."""
