"""Vector features: regions found in masks, their outlines, and files of them."""
