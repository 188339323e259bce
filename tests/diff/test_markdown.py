import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from saereport.diff.conditions import parse
from saereport.diff.gates import Gate, Outcome, judge
from saereport.diff.markdown import LARGEST, code, markdown
from saereport.diff.model import ChangedFact, Difference
from saereport.util.visible import visible_text
from tests.diff.differences import change, difference, edge, measured, prompt, sae, unchanged
from tests.synthetic import HOSTILE

PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
MARKUP = (
    *("`", "``", "```", "|", "\\", "\\|", "\n", "\n\n", "---", "|-|", "@octocat", "#12", "<b>"),
    *("</code>", "<!--", "[x](http://x)", "![x](y)", "<http://x>", "http://x.y", "www.x.y", "*"),
    *("**", "_", "~~", "- ", "> ", "    ", " ", "&lt;", "&#96;", "a", "é", "\u202e", "\x00"),
)
HOSTILE_TEXT = st.lists(st.sampled_from(MARKUP), max_size=12).map("".join) | st.text(max_size=30)
OURS = {
    "paragraph", "heading", "bullet_list", "list_item", "inline", "text", "code_inline", "strong",
    "softbreak",
}  # fmt: skip


def tokens(text: str) -> list[Token]:
    found = []
    for token in PARSER.parse(text):
        found += [token, *(token.children or [])]
    return found


def kinds(text: str) -> set[str]:
    return {re.sub("_(open|close)$", "", token.type) for token in tokens(text)}


def spans(text: str) -> list[str]:
    return [token.content for token in tokens(text) if token.type == "code_inline"]


def judged(of: Difference) -> tuple[Outcome, ...]:
    texts = (
        "latents.changed > 0",
        "density.size > 0.5",
        "edge > 0.2",
        "l0 > 1e9",
        "kl_spliced > 1",
    )
    return judge([Gate(parse(text)) for text in texts], of, measured())


@settings(deadline=None)
@given(HOSTILE_TEXT, st.sampled_from(["- {}", "- **a** {}: {}", "text {} and {}, {}"]))
def test_no_text_leaves_its_code_span(text: str, around: str) -> None:
    line = around.replace("{}", code(text, 1000))
    shown = visible_text(text)
    n = around.count("{}")
    if shown:
        assert spans(line) == [shown] * n
    assert kinds(line) <= OURS
    plain = "".join(token.content for token in tokens(line) if token.type == "text")
    said = "" if shown else "(empty)"
    assert plain == around.replace("- ", "").replace("**", "").replace("{}", said)


@settings(deadline=None, max_examples=50)
@given(HOSTILE_TEXT)
def test_no_text_makes_markup_of_a_comment(text: str) -> None:
    of = difference(text or " ")
    made = markdown(of, judged(of))
    assert kinds(made) <= OURS
    plain = [token.content for token in tokens(made) if token.type == "text"]
    harmless = markdown(difference("x"), judged(difference("x")))
    assert plain == [token.content for token in tokens(harmless) if token.type == "text"]


@pytest.mark.parametrize("data", HOSTILE)
def test_hostile_tokens_make_no_markup(data: bytes) -> None:
    of = difference(data.decode("utf-8", "surrogateescape") or " ")
    assert kinds(markdown(of, judged(of))) <= OURS


def test_nothing_that_a_host_turns_into_links_stands_outside_code() -> None:
    of = difference("@octocat #12 http://x.y www.x.y 0123456789abcdef")
    made = markdown(of, judged(of))
    outside = "".join(token.content for token in tokens(made) if token.type == "text")
    assert re.search(r"@|#\d|https?:|www\.|\b[0-9a-f]{7,40}\b", outside) is None


def test_it_names_what_changed_and_what_failed() -> None:
    of = difference()
    made = markdown(of, judged(of))
    assert made.startswith("### 2 of 4 latents changed, 1 removed, ")
    assert "- **failed** `latents.changed > 0`: `resid-l10 = 2: 10 (words for if), 20`" in made
    assert "- `resid-l10/10` `words for if`: Density 0.1 % → 0.4 %" in made
    assert "` if` `␣iff` → `␣iff` `␣new`" in made
    assert made.index("**failed**") < made.index("- passed")
    assert "- L0: 40 → 44" in made
    assert "- Removed: 30" in made
    assert "**SAEs added**: `mlp-l3`" in made
    assert '- sign: `resid-l10/3 @2 " iff"` to `resid-l12/4`, 0.5 → -0.2' in made
    assert "- `configuration examples.top`: `20` → `30`" in made
    assert len(made) < 4000


def test_nothing_is_said_shortly() -> None:
    made = markdown(unchanged())
    assert made.startswith("### No change beyond noise.\n")
    assert made.count("\n") == 4
    same = markdown(replace(unchanged(), identical=True))
    assert same.startswith("### The two reports are the same.\n")


def test_a_huge_comparison_fits_and_says_what_it_left_out() -> None:
    text = "`" * 7 + "x" * 600
    many = replace(
        sae(hostile=text),
        changed=tuple(change(i, text, (text,) * 300) for i in range(200)),
        removed=tuple(range(1000)),
    )
    of = replace(
        difference(text),
        saes=tuple(replace(many, after=f"sae-{i}-{text}") for i in range(20)),
        saes_removed=tuple(f"{i}{text}" for i in range(20)),
        prompts=tuple(
            replace(prompt(str(i), text), edges=(edge(early=text),) * 100) for i in range(20)
        ),
        facts=tuple(ChangedFact("text", f"{i}{text}", text, text, True) for i in range(200)),
    )
    outcomes = judge([Gate(parse("latents.changed > 0"), message=text)] * 30, of, measured())
    made = markdown(of, outcomes)
    assert len(made) < LARGEST / 2
    assert kinds(made) <= OURS
    for said in (
        "and 198 more changed latents",
        "And 16 more compared SAEs with changes",
        "and 15 more gates",
        "and 198 more settings",
        "and 998 more",
        "and 99 more changed edges",
    ):
        assert said in made, said


def test_it_says_how_latents_were_matched() -> None:
    of = difference()
    matched = replace(
        of.saes[0],
        pairing="coactivation",
        changed=(replace(change(10, "words"), before=7, similarity=0.5),),
        pairing_note="By the text.",
    )
    said = markdown(replace(of, saes=(matched,)))
    assert "\n- By the text.\n" in said
    assert "\n- `resid-l10/7 -> 10` (overlap 0.50) `words`: " in said
