"""The prompts that a host offers to people."""

import pytest
from mcp import Client, MCPError
from mcp.types import INVALID_PARAMS, METHOD_NOT_FOUND, TextContent

from mcp_server.server import Face, build_server
from tests.support.tools_server import NoServices

MODES = ("auto", "legacy")


async def filled(name: str, arguments: dict[str, str], mode: str = "auto") -> str:
    async with Client(build_server(NoServices()), mode=mode) as client:
        result = await client.get_prompt(name, arguments)
    (message,) = result.messages
    assert message.role == "user"
    assert isinstance(message.content, TextContent)
    return message.content.text


async def test_each_prompt_and_argument_is_described() -> None:
    async with Client(build_server(NoServices())) as client:
        prompts = (await client.list_prompts()).prompts
    told = {prompt.name: prompt.arguments or [] for prompt in prompts}
    assert {name: [(each.name, each.required) for each in told[name]] for name in told} == {
        "research": [("question", True), ("depth", False)],
        "fact_check": [("claim", True)],
    }
    assert all(prompt.title and prompt.description for prompt in prompts)
    assert all(argument.description for arguments in told.values() for argument in arguments)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "argument"), [("research", "question"), ("fact_check", "claim")])
async def test_a_prompt_holds_what_was_asked_and_how_to_go_about_it(
    name: str, argument: str, mode: str
) -> None:
    text = await filled(name, {argument: "Who built the lighthouse?"}, mode)
    assert "\n\nWho built the lighthouse?\n\n" in text
    for word in ("web_search", "web_visit", "URL of the page that you visited", "never instruct"):
        assert word in text
    assert len(text) < 1_600


async def test_the_depth_changes_how_much_is_read() -> None:
    texts = {
        depth: await filled("research", {"question": "q", "depth": depth})
        for depth in ("quick", "normal", " Deep", "nonsense")
    }
    assert texts["nonsense"] == texts["normal"] == await filled("research", {"question": "q"})
    assert len({texts["quick"], texts["normal"], texts[" Deep"]}) == 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [("nope", {}, "research, fact_check"), ("research", {"depth": "deep"}, "question")],
)
async def test_a_wrong_prompt_is_an_error_of_the_protocol_that_says_what_there_is(
    name: str, arguments: dict[str, str], says: str, mode: str
) -> None:
    async with Client(build_server(NoServices()), mode=mode) as client:
        with pytest.raises(MCPError) as caught:
            await client.get_prompt(name, arguments)
    assert caught.value.code == INVALID_PARAMS
    assert says in str(caught.value)


@pytest.mark.parametrize("mode", MODES)
async def test_prompts_that_are_switched_off_do_not_exist(mode: str) -> None:
    server = build_server(NoServices(), face=Face(prompts=False))
    async with Client(server, mode=mode) as client:
        for ask in (client.list_prompts(), client.get_prompt("research", {"question": "q"})):
            with pytest.raises(MCPError) as caught:
                await ask
            assert caught.value.code == METHOD_NOT_FOUND
        assert (await client.list_tools()).tools
