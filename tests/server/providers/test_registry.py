"""The registry, the files and the contract cases name the same providers."""

from pathlib import Path

from mcp_server.app import provider_chain
from mcp_server.config import load
from mcp_server.search import providers
from mcp_server.search.providers import PROVIDERS

CASES = Path(__file__).with_name("cases")


def names_in(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}


def test_the_registry_lists_exactly_the_files_of_its_folder() -> None:
    assert set(PROVIDERS) == names_in(Path(providers.__file__).parent)


def test_every_provider_but_the_local_index_stands_under_the_contract() -> None:
    assert set(PROVIDERS) - {"local"} == names_in(CASES)


def test_auto_asks_what_is_configured_then_the_keyless_one_then_the_encyclopedia() -> None:
    configured = load(
        environ={
            "TAVILY_API_KEY": "k",
            "SERPER_API_KEY": "k",
            "OPENSEARCH_API_KEY": "k",  # no URL: says nothing
            "GOOGLE_API_KEY": "k",  # no engine: may be meant for another service
            "SEEKLING_MCP_SEARXNG_URL": "http://localhost:8888",
        }
    )
    assert provider_chain(configured) == ("serper", "tavily", "searxng", "duckduckgo", "local")
