"""Candidates: regions that may become targets, and the rules that drop them."""
