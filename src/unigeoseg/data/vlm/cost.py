"""Cost of a run with models: requests per step, tokens per request, prices.

Prompt and answer tokens are counted from the prompt files, one per four characters; each file ends
with an example of its answer.
"""

from dataclasses import dataclass

from unigeoseg.data.vlm import prompts
from unigeoseg.data.vlm.server import estimate_tokens

_STEPS = {
    "judge": "judge",
    "referring": "writer",
    "attribute": "writer",
    "context_cues": "writer",
    "context_question": "writer",
    "score_a": "first scorer",
    "score_b": "second scorer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CostPlan:
    """How many triplets a run shall keep, and what share of drafts passes.

    The counts are the generated ones of the paper (section 2), scaled to a million in total; the
    shares are placeholders until a run has measured its own.

    Attributes:
        regions: Regions that the judge accepts; each gives an interactive triplet.
        referring: Referring expressions that are kept.
        attribute: Attribute questions that are kept.
        context: Context questions that are kept.
        judged_share: Share of candidates that the judge accepts.
        scored_share: Share of drafts that both scorers pass.
    """

    regions: int = 521_496
    referring: int = 364_664
    attribute: int = 68_926
    context: int = 44_914
    judged_share: float = 0.5
    scored_share: float = 0.5

    def requests(self) -> dict[str, int]:
        """Requests of each step, each by the name of its prompt."""
        goals = {"referring": self.referring, "attribute": self.attribute, "context": self.context}
        drafts = {family: round(count / self.scored_share) for family, count in goals.items()}
        scored = sum(drafts.values())
        return {
            "judge": round(self.regions / self.judged_share),
            "referring": drafts["referring"],
            "attribute": drafts["attribute"],
            "context_cues": drafts["context"],
            "context_question": drafts["context"],
            "score_a": scored,
            "score_b": scored,
        }


def request_tokens(prompt: str, image_tokens: int) -> tuple[int, int]:
    """Input and output tokens of one request, by the name of its prompt."""
    text = prompts.prompt_text(prompt)
    example = text.rstrip().rsplit("\n", 1)[-1]
    return estimate_tokens(text) + image_tokens, estimate_tokens(example)


def cost_table(plan: CostPlan, image_tokens: int, input_price: float, output_price: float) -> str:
    """Requests, tokens and cost of each step as a Markdown table.

    Args:
        plan: What is to be kept.
        image_tokens: Tokens of one image.
        input_price: Price of a million input tokens, the same for all models.
        output_price: Price of a million output tokens.
    """
    lines = [
        "| step | model | requests | tokens in | tokens out | cost |",
        "|---|---|---|---|---|---|",
    ]
    total = 0.0
    for step, count in plan.requests().items():
        tokens_in, tokens_out = request_tokens(step, image_tokens)
        cost = count * (tokens_in * input_price + tokens_out * output_price) / 1e6
        total += cost
        row = (
            step,
            _STEPS[step],
            f"{count:,}",
            f"{tokens_in:,}",
            f"{tokens_out:,}",
            f"{cost:,.0f}",
        )
        lines.append(f"| {' | '.join(row)} |")
    lines.append(f"| all | | {sum(plan.requests().values()):,} | | | {total:,.0f} |")
    return "\n".join(lines)
