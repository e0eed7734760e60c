"""Labelled imagery on disk: published sets, folders, and their readers."""
