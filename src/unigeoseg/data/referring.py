"""Referring expressions: programs that select a target alone, and their words.

Source: paper section 2, stage 6: position, neighbours and relations that identify one region.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from unigeoseg.data.candidate import Candidate
from unigeoseg.data.draft import Draft
from unigeoseg.data.language.execute import Executor
from unigeoseg.data.language.grammar import Speaker
from unigeoseg.data.language.program import Expression, expression, print_program
from unigeoseg.data.language.search import Facts, distinct
from unigeoseg.data.ledger import Reject, Rejection
from unigeoseg.data.patch import Patch
from unigeoseg.errors import AmbiguousError
from unigeoseg.prompt import Prompt, Task

WORDS = (6, 25)
"""Fewest and most words of an expression."""
