"""The taxonomy: categories, their words and their questions."""
