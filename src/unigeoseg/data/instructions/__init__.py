"""Instructions: writers, judges and scorers of texts, clicks and boxes."""
