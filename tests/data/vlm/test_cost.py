import pytest
from places import DOCS

from unigeoseg.data.vlm import prompts
from unigeoseg.data.vlm.cost import CostPlan, cost_table, request_tokens

JUDGES = DOCS / "judges.md"


def test_requests_follow_from_what_is_kept():
    plan = CostPlan(
        regions=100, referring=40, attribute=10, context=6, judged_share=0.5, scored_share=0.25
    )
    assert plan.requests() == {
        "judge": 200,
        "referring": 160,
        "attribute": 40,
        "context_cues": 24,
        "context_question": 24,
        "score_a": 224,
        "score_b": 224,
    }


def test_the_default_plan_keeps_a_million():
    plan = CostPlan()
    assert plan.regions + plan.referring + plan.attribute + plan.context == 1_000_000


def test_tokens_are_a_quarter_of_the_characters():
    read, written = request_tokens("judge", 700)
    assert read - 700 == pytest.approx(len(prompts.prompt_text("judge")) / 4, abs=1)
    assert 10 < written < 100


def test_a_table_row_is_the_formula():
    plan = CostPlan(judged_share=1.0)
    row = next(
        line for line in cost_table(plan, 1000, 2.0, 8.0).splitlines() if "| judge |" in line
    )
    read, written = request_tokens("judge", 1000)
    cost = plan.regions * (read * 2.0 + written * 8.0) / 1e6
    assert row.endswith(f"| {cost:,.0f} |")


def test_the_documents_show_the_table_as_it_is():
    assert cost_table(CostPlan(), 1000, 1.0, 4.0) in JUDGES.read_text(encoding="utf-8")
