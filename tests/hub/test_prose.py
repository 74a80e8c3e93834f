"""The generated parts of a card are replaced; the text that people wrote around them is kept exactly."""

import pytest
from hypothesis import given, strategies as st

from genaug.errors import InputError
from genaug.hub.prose import Part, choose, identity, merge, parts, prose, split

NEW = {name: Part(name, f"{name} as generated", {}) for name in ("summary", "figures", "recipe")}
LINES = st.sampled_from(
    ["words", "", "# Heading", "| a | b |", "---", "```", "<!-- a comment -->", "größer", "  indented", "a" * 50]
)
MARKS = st.builds(
    "<!-- genaug:{} {}{} -->".format,
    st.sampled_from(["begin", "end"]),
    st.sampled_from(["summary", "figures", "recipe", "later"]),
    st.sampled_from(["", " weights=0123abcd", " prose=12", " nonsense"]),
)
TEXTS = st.lists(LINES | MARKS, max_size=12).map("\n".join)


def words(text):
    return "".join(piece for piece in split(text) if isinstance(piece, str))


@given(text=TEXTS)
def test_what_people_wrote_survives_any_number_of_pushes(text):
    once = merge(text, NEW, "")
    assert prose(once) == prose(text)
    twice = merge(once, {name: Part(name, "as generated later", {}) for name in NEW}, "")
    assert words(twice).strip("\n") == words(once).strip("\n")
    assert merge(twice, NEW, "") == once


@given(text=TEXTS)
def test_each_generated_part_occurs_once(text):
    merged = merge(text, NEW, "")
    for name, part in NEW.items():
        assert merged.count(f"genaug:begin {name}") == merged.count(f"genaug:end {name}") == 1
        assert parts(merged)[name].text.strip("\n") == part.text


def test_lines_between_unpaired_marks_are_prose():
    text = "<!-- genaug:begin figures -->\nkeep me\n<!-- genaug:begin figures -->\nold\n<!-- genaug:end figures -->\n"
    merged = merge(text, NEW, "")
    assert "keep me" in words(merged)
    assert "old" not in merged


def test_parts_of_a_later_version_are_kept():
    text = "<!-- genaug:begin later -->\nfrom the future\n<!-- genaug:end later -->\n"
    assert "from the future" in merge(text, NEW, "")


def test_the_marks_identify_the_prose_of_both_sides():
    merged = merge("their words\n", NEW, "our words")
    notes = parts(merged)["summary"].notes
    assert notes == {"prose": identity("their words"), "ours": identity("our words")}


class TestChoose:
    @staticmethod
    def pushed(text, ours):
        return merge(text, NEW, ours)

    def test_nobody_changed_anything(self):
        there = self.pushed("words", "words")
        assert choose(there, "words", False) == there

    def test_we_changed_it(self):
        assert choose(self.pushed("words", "words"), "new words", False) == "new words"

    def test_they_changed_it(self):
        there = self.pushed("words", "words").replace("words", "their words")
        assert choose(there, "words", False) == there

    def test_they_changed_it_before_the_last_push_and_we_did_after(self):
        there = self.pushed("their words", "words")
        assert choose(there, "words", False) == there
        with pytest.raises(InputError, match="changed both on the Hub and in"):
            choose(there, "new words", False)

    def test_both_changed_it(self):
        there = self.pushed("words", "words").replace("words", "their words")
        with pytest.raises(InputError, match="changed both on the Hub and in"):
            choose(there, "new words", False)
        assert choose(there, "new words", True) == "new words"
        assert choose(there, "their words", False) == there

    def test_the_hub_has_no_prose(self):
        assert choose("\n", "words", False) == "words"
