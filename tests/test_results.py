"""The page of results is made of what was measured."""

import re

from tests.bench.results import HERE, PAGE, page, stored_sections


def test_the_page_says_what_the_stored_figures_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_picture_of_the_page_is_there() -> None:
    shown = re.findall(r"\]\((plots/[^)]{1,100})\)", PAGE.read_text(encoding="utf-8"))
    assert all((HERE / picture).is_file() for picture in shown)


def test_an_aim_that_was_missed_says_why() -> None:
    aims = [aim for stored in stored_sections() for aim in stored.section.aims]
    assert all(aim.met or aim.why for aim in aims)
