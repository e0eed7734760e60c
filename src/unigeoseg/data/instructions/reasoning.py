"""Reasoning questions: by function or property, or by a relation among regions of one kind.

Source: paper section 2, stage 6. One region of a category in the patch: attribute reasoning; two
or three: context reasoning. The question never names the category; the answer does. Which patches
are diverse enough is decided over all of a source (`merge.select_triplets`).
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from unigeoseg.data.candidates.candidate import Candidate
from unigeoseg.data.instructions.base_writer import PatchWriter, off_length
from unigeoseg.data.instructions.draft import Draft, Family
from unigeoseg.data.programs.graph import Node
from unigeoseg.data.programs.program import Expression, expression, format_program
from unigeoseg.data.programs.search import RELATION_OPERATORS, topics_of
from unigeoseg.data.programs.situations import ATTRIBUTE_FRAMES, CONTEXT_FRAMES, need_phrase
from unigeoseg.data.taxonomy.categories import leaked_word, taxonomy
from unigeoseg.errors import AmbiguousError
from unigeoseg.prompt import Prompt, Task

WORDS = (8, 45)
"""Fewest and most words of a question."""

MOST_OF_A_KIND = 3
"""Context reasoning tells apart at most so many regions of a kind."""

_VISIBLE_DIVISOR = 500  # a region of less than one in so many pixels of the patch is hardly seen
_WORDINGS = 6  # attempts to ask without a leak and within the bounds of length
_TRIES = 12  # programs that are run per target
_PER_TARGET = 2


class ReasoningWriter(PatchWriter):
    """Writes reasoning questions about one patch."""

    def write(self, target: Candidate) -> Iterator[Draft]:
        """Questions about a region; none if too many are of its kind."""
        node = self._run.graph.nodes[target.region]
        source = expression("category", node.category)
        try:
            same_kind = len(self._run.members(source))
        except AmbiguousError as error:
            self._note(error.rule, node, str(error))
            return
        if same_kind == 1:
            yield from self._attribute(target, node, source)
        elif same_kind <= MOST_OF_A_KIND:
            yield from self._context(target, node, source)

    def _attribute(self, target: Candidate, node: Node, source: Expression) -> Iterator[Draft]:
        """The taxonomy's questions, most of them with facts of the scene."""
        facts = [*self._facts.relations(node), *self._facts.places(node)]
        used_questions: set[str] = set()
        for _ in range(_PER_TARGET):
            count = min(len(facts), int(self._rng.choice([0, 1, 2], p=[0.2, 0.5, 0.3])))
            conditions = [facts[at] for at in self._rng.permutation(len(facts))[:count]]
            if len(conditions) > 1 and not topics_of(conditions[0]).isdisjoint(
                topics_of(conditions[1])
            ):
                conditions.pop()
            selection = expression("only", _narrowed(source, conditions))
            question = self._say.pick(taxonomy()[node.category].questions)
            if question in used_questions or not self._selects_alone(selection, node):
                continue
            used_questions.add(question)
            hint = " and ".join(self._say.condition_phrase(fact) for fact in conditions)
            text = self._say.pick(ATTRIBUTE_FRAMES[bool(hint)]).format(
                ask=question[:-1] if question[-1] in ".?" else question,
                mark="?" if question.endswith("?") else ".",
                given=hint,
            )
            yield from self._draft("attribute", target, selection, text, hint)

    def _context(self, target: Candidate, node: Node, source: Expression) -> Iterator[Draft]:
        """Which of two or three regions of a kind meets a need, by a relation.

        All of them have to be seen well, since the question counts them.
        """
        smallest = min(member.area_px for member in self._run.members(source))
        limit = self._patch.regions.size / _VISIBLE_DIVISOR
        if smallest < limit:
            self._note("hidden", node, "one of its kind is hardly seen", (smallest, limit))
            return
        options = [
            option
            for option in [
                *(expression("only", _narrowed(source, [t])) for t in self._facts.relations(node)),
                *self._facts.comparisons(node, source),
            ]
            if option.operator in ("largest", "smallest")
            or any(part.operator in RELATION_OPERATORS for part in option.walk())
        ]
        order = self._rng.permutation(len(options))[:_TRIES]
        selections = (
            option for option in (options[at] for at in order) if self._selects_alone(option, node)
        )
        for selection in islice(selections, _PER_TARGET):
            for _ in range(_WORDINGS):
                draft = list(self._context_question(target, selection, source))
                if draft:
                    yield from draft
                    break

    def _context_question(
        self, target: Candidate, selection: Expression, source: Expression
    ) -> Iterator[Draft]:
        entry = taxonomy()[target.category]
        why = self._say.verb(selection)
        text = self._say.pick(CONTEXT_FRAMES).format(
            count=self._say.count(source),
            function=self._say.pick(entry.functions),
            need=self._say.pick([why, need_phrase(selection, self._say) or why]),
        )
        siblings = "the other one" if self._say.count(source) == "two" else "the others"
        hint = f"unlike {siblings} of its kind in the scene, it {why}"
        yield from self._draft("context", target, selection, text, hint)

    def _draft(
        self, family: Family, target: Candidate, selection: Expression, text: str, hint: str
    ) -> Iterator[Draft]:
        """The draft, unless its question leaks the category or is too short or long."""
        entry = taxonomy()[target.category]
        node = self._run.graph.nodes[target.region]
        text = text[0].upper() + text[1:]
        leak = leaked_word(text, entry)
        if leak is not None:
            self._note("leak", node, f"{leak!r} in {text!r}")
            return
        length_fault = off_length(text, WORDS)
        if length_fault:
            self._note("words", node, text, length_fault)
            return
        subject = "" if family == "context" else "it "
        second_reason = f", and {subject}{hint}" if hint else ""
        yield Draft(
            family=family,
            prompt=Prompt.from_text(text, Task.REASONING),
            regions=(target.region,),
            mask=target.mask,
            category=target.category,
            writer="",
            program=format_program(selection),
            answer=f"The target region belongs to {entry.label}, and the reason is that "
            f"{entry.reason}{second_reason}.",
        )


def _narrowed(source: Expression, tests: Sequence[Expression]) -> Expression:
    for test in tests:
        source = expression("filter", source, test)
    return source
