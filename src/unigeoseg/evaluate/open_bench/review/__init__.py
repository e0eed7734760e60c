"""The review of a benchmark's samples: who judged what, a page to judge on, and agreement."""
