"""Patches: images cut to size, boxes turned into regions."""
