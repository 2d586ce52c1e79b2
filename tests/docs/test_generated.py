"""The generated parts of the documents say what the code says."""

from agent_client.agent.outcome import Source
from tests.docs.blocks import architecture
from tests.docs.fences import fences, without_fences
from tests.docs.field_docs import fields_of
from tests.docs.generate import BLOCKS, COMMAND, ROOT, names_in, outdated, pages, regenerated
from tests.docs.markdown import from_docstring, table


def test_the_generated_parts_are_what_the_code_says() -> None:
    differing = [str(page.relative_to(ROOT)) for page, _ in outdated()]
    assert not differing, f"run: .venv/bin/{COMMAND}"


def test_each_generated_part_stands_on_a_page() -> None:
    used = {name for page in pages() for name in names_in(page.read_text(encoding="utf-8"))}
    assert used == set(BLOCKS)


def test_a_generated_part_that_was_edited_is_made_anew_and_the_rest_is_kept() -> None:
    page = "by hand\n<!-- generated: exit codes -->\nforged\n<!-- end -->\nby hand too"
    made = regenerated(page)
    assert (made.startswith("by hand\n"), made.endswith("\nby hand too")) == (True, True)
    assert "forged" not in made
    assert BLOCKS["exit codes"]() in made
    assert regenerated(made) == made


def test_each_part_of_both_packages_stands_in_one_box_of_the_diagram() -> None:
    for package, boxes in architecture.GROUPS.items():
        boxed = [part for parts in boxes.values() for part in parts]
        assert len(boxed) == len(set(boxed))
        for part in architecture.imports_of(package):
            architecture.group_of(package, part)  # raises where there is none


def test_the_meaning_of_a_field_is_the_string_behind_it() -> None:
    told = {field.name: field.text for field in fields_of(Source)}
    assert told["number"].startswith("Counts from 1")
    assert told["title"] == ""


def test_a_docstring_becomes_paragraphs_and_lists() -> None:
    told = from_docstring(
        "Do it.\n\nArgs:\n    first: what is\n        done first.\n    other: the rest.\n\n"
        "Raises:\n    OSError: it cannot."
    )
    assert told == (
        "Do it.\n\n*Args*\n\n- `first`: what is done first.\n- `other`: the rest.\n\n"
        "*Raises*\n\n- `OSError`: it cannot."
    )


def test_no_cell_of_a_table_breaks_it() -> None:
    assert table(("a",), [("x | y\nz",)]) == "| a |\n| --- |\n| x \\| y z |"


def test_blocks_end_at_as_many_marks_as_they_began_with() -> None:
    page = "a\n````md title\n```\n# no heading\n```\n````\n# heading"
    (block,) = fences(page)
    assert (block.language, block.title, block.line) == ("md", "title", 3)
    assert block.text == "```\n# no heading\n```"
    assert without_fences(page).split() == ["a", "#", "heading"]
