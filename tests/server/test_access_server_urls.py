import pytest

from mcp_server.access.server_urls import canonical_url, is_safe_url


@pytest.mark.parametrize(
    "url",
    [
        "https://search.corp.example/mcp",
        "https://search.corp.example/mcp/",
        "HTTPS://Search.Corp.Example:443/mcp",
    ],
)
def test_spellings_of_one_server_are_one(url: str) -> None:
    assert canonical_url(url) == "https://search.corp.example/mcp"


@pytest.mark.parametrize(
    "url",
    [
        "https://search.corp.example",
        "https://search.corp.example/",
        "https://search.corp.example/MCP",
        "https://search.corp.example/mcp/more",
        "https://search.corp.example/mcp//",
        "https://search.corp.example/mcp?",
        "https://search.corp.example/mcp#",
        "https://search.corp.example/m\ncp",
        " https://search.corp.example/mcp",
        "https://search.corp.example:8443/mcp",
        "https://ann@search.corp.example/mcp",
        "https://search.corp.example\\mcp",
        "https://search.corp.example.evil.example/mcp",
        "http://search.corp.example/mcp",
        "http://search.corp.example:443/mcp",
        "https://search.corp.example:x/mcp",
        "search.corp.example/mcp",
        "mcp",
        "",
    ],
)
def test_what_differs_in_more_than_spelling_is_another_server(url: str) -> None:
    assert canonical_url(url) != "https://search.corp.example/mcp"


@pytest.mark.parametrize(
    ("url", "is_safe"),
    [
        ("https://as.example", True),
        ("https://as.example:8443/tenant/", True),
        ("http://127.0.0.1:9000", True),
        ("http://localhost/x", True),
        ("http://[::1]:9000/x", True),
        ("http://as.example", False),
        ("http://127.0.0.1.evil.example", False),
        ("http://localhost@evil.example", False),
        ("https://user:secret@as.example", False),
        ("https://as.example/?tenant=1", False),
        ("https://as.example/#x", False),
        ("https://", False),
        ("https:///x", False),
        ("https://as.example:99999", False),
        ("https://[::1", False),
        ("https://as.example/ä", False),
        ("https://as.example/a b", False),
        ("file:///etc/keys", False),
        ("as.example", False),
        ("", False),
    ],
)
def test_only_https_and_this_machine_are_trusted(url: str, is_safe: bool) -> None:
    assert is_safe_url(url) is is_safe
