"""Profiles: what is in the files, what a person changes, and that prompts tell the truth."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from agent_client.agent.profile import Profile
from agent_client.errors import ConfigError
from agent_client.profiles import BUILT_IN, load_profile, with_overrides
from agent_client.profiles.sections import LimitsSection, SamplingSection
from agent_client.toolbox import McpToolbox
from tests.support.tools_server import tools_server


async def schemas(folder: Path) -> dict[str, set[str]]:
    """The shipped server's tools and their arguments."""
    async with tools_server(folder) as server, McpToolbox.open(server) as tools:
        listed = await tools.list_tools()
    found: dict[str, set[str]] = {}
    for tool in listed:
        properties = tool.parameters["properties"]
        assert isinstance(properties, dict)
        found[tool.name] = {str(name) for name in properties}
    return found


@pytest.mark.parametrize("name", BUILT_IN)
async def test_every_tool_and_argument_that_a_profile_names_exists(
    name: str, tmp_path: Path
) -> None:
    tools = await schemas(tmp_path)
    profile = load_profile(name)
    for offer in profile.tools:
        assert set(offer.arguments or ()) | set(offer.fixed) <= tools[offer.name]
    offered = {offer.name: set(offer.arguments or tools[offer.name]) for offer in profile.tools}
    known = set(offered or tools).union(*(offered or tools).values())
    words = " ".join(
        (profile.prompts.system, profile.prompts.short_suffix, profile.prompts.cited_suffix)
    )
    # In our prompts whatever stands in backticks is a tool or an argument, and no tool stands bare.
    quoted = set(re.findall(r"`([^`]+)`", words))
    assert quoted <= known
    assert set(re.findall(r"\b(?:web|page|search)_\w+", words)) <= quoted
    assert not profile.prompts.system or {"web_search", "web_visit"} <= quoted


def test_the_default_sampling_is_that_of_the_model_card() -> None:
    sampling = load_profile("default").sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k) == (0.6, 0.95, 20)
    assert (sampling.repetition_penalty, sampling.max_tokens) == (1.1, 2048)


def test_the_profiles_of_the_reference_harness_keep_its_rules() -> None:
    boxed, report = load_profile("ii-search-boxed"), load_profile("ii-search-report")
    assert (boxed.style, report.style) == ("short", "cited")
    assert replace(boxed, style="cited", name="", description="") == replace(
        report, name="", description=""
    )
    search, visit = boxed.tools
    assert (search.arguments, search.fixed) == (("query",), {"limit": 10})
    assert (visit.arguments, visit.result, visit.result_chars) == (("url",), "plain", 10_000)
    assert (boxed.limits.turns, boxed.limits.context_tokens) == (50, 58_000)
    assert (boxed.rules.min_searches, boxed.replies.max_resamples) == (1, 10)


def test_the_digest_changes_with_whatever_shapes_a_run_and_with_nothing_else() -> None:
    profile = load_profile("default")
    digests = {
        profile.digest,
        replace(profile, prompts=replace(profile.prompts, system="x")).digest,
        replace(profile, sampling=replace(profile.sampling, seed=1)).digest,
        replace(profile, limits=replace(profile.limits, turns=1)).digest,
        replace(profile, rules=replace(profile.rules, min_searches=1)).digest,
        replace(profile, history=replace(profile.history, kind="drop_reasoning")).digest,
        replace(profile, replies=replace(profile.replies, repair="strict")).digest,
        replace(profile, style="short").digest,
    }
    assert len(digests) == 8
    assert replace(profile, name="other", description="other").digest == profile.digest
    assert len(profile.digest) == 64


def test_the_built_in_profiles_differ() -> None:
    assert len({load_profile(name).digest for name in BUILT_IN}) == len(BUILT_IN)


def test_what_a_person_changes_is_listed_and_changes_the_digest() -> None:
    profile = load_profile("default")
    changed = with_overrides(
        profile,
        sampling=SamplingSection(temperature=0.0),
        limits=LimitsSection(turns=5),
        style="short",
        unknown_urls="strict",
    )
    assert changed.overrides == (
        "style=short",
        "sampling.temperature=0.0",
        "limits.turns=5",
        "rules.unknown_urls=strict",
    )
    assert changed.digest != profile.digest
    assert with_overrides(profile, sampling=SamplingSection(), limits=LimitsSection()) == profile


def written(directory: Path, text: str) -> Profile:
    path = directory / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return load_profile(str(path))


def test_a_file_of_one_s_own_extends_a_built_in_profile_and_has_its_own_prompt(
    tmp_path: Path,
) -> None:
    (tmp_path / "words.md").write_text("Search with `web_search`.\n")
    profile = written(
        tmp_path,
        'extends = "ii-search"\n[prompts]\nsystem = "words.md"\n[limits]\nturns = 3\n',
    )
    base = load_profile("ii-search")
    assert (profile.name, profile.limits.turns) == ("mine", 3)
    assert profile.prompts.system == "Search with `web_search`."
    assert (profile.prompts.short_suffix, profile.tools) == (base.prompts.short_suffix, base.tools)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[limits]\nturns = 0\n", r"'limits\.turns' 0"),
        ("[limits]\nturn = 3\n", r"'limits\.turn'"),
        ("[rules\n", "mine.toml"),
        ('extends = "no"\n', "extends unknown profile 'no'"),
        ('[prompts]\nsystem = "absent.md"\n', r"absent\.md.* does not exist"),
        ('[history]\nkind = "forget"\n', "forget"),
    ],
)
def test_a_malformed_file_says_where(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        written(tmp_path, text)


def test_an_unknown_profile_names_the_closest_one() -> None:
    with pytest.raises(ConfigError, match="did you mean 'ii-search'") as caught:
        load_profile("ii_search")
    assert "ii-search-boxed" in caught.value.hint
    with pytest.raises(ConfigError, match="does not exist"):
        load_profile("./no-such.toml")
