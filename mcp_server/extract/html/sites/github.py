"""GitHub: repositories, files, issues, pull requests and discussions."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from selectolax.lexbor import LexborHTMLParser, LexborNode

from mcp_server.extract.html.embedded_json import find, parsed, walk
from mcp_server.extract.html.sites.site_page import (
    Code,
    Part,
    SitePage,
    drop,
    drop_hidden,
    host_of,
    path_of,
    text_at,
)

_EMBEDDED_DATA = "script[data-target$='.embeddedData']"
_README = "article.markdown-body"
_FILE_LINKS = ".react-directory-row a[title], .js-navigation-item .js-navigation-open[title]"
_DESCRIPTION = ".Layout-sidebar p.f4, [itemprop=about]"
_MAX_FILES = 60
_MAX_CODE_LINES = 50_000
_TITLE = ".js-issue-title, [data-testid=issue-title], .gh-header-title, h1"
_STATE = ".gh-header-meta .State, [data-testid=header-state], .State"
_COMMENTS = ".timeline-comment, .js-comment-container .comment, .discussion-comment"
_COMMENT_BODY = ".comment-body, .markdown-body"
_NOT_TEXT = ".zeroclipboard-container, clipboard-copy, .email-hidden-toggle, .anchor, .sr-only"
_COMMENT_TYPES = frozenset(("IssueComment", "DiscussionComment", "PullRequestReview"))
_LANGUAGES = {
    "py": "python",
    "js": "javascript",
    "ts": "typescript",
    "rs": "rust",
    "rb": "ruby",
    "sh": "bash",
    "yml": "yaml",
    "h": "c",
    "md": "markdown",
}
_MAX_SUFFIX_CHARS = 10


def read_github(tree: LexborHTMLParser, url: str) -> SitePage | None:
    """Read a page of a repository by its kind."""
    path = path_of(url)
    if host_of(url) != "github.com" or len(path) < 2:
        return None
    kind = path[2] if len(path) > 2 else "tree"
    if kind == "blob" and len(path) > 4:
        return _read_file(tree, url, path)
    if kind == "tree":
        return _read_repository(tree, path)
    if kind in ("issues", "pull", "discussions") and len(path) > 3:
        return _read_thread(tree)
    return None


def _read_repository(tree: LexborHTMLParser, path: list[str]) -> SitePage | None:
    readme = tree.css_first(_README)
    names = [node.attributes.get("title") or "" for node in tree.css(_FILE_LINKS)]
    if not names:
        names = [str(name) for key, name in walk(find(_embedded(tree), "items")) if key == "name"]
    names = [name for name in dict.fromkeys(names) if name][:_MAX_FILES]
    if readme is None and not names:
        return None
    title = "/".join(path[:2])
    parts: list[Part] = [f"# {title}"]
    if description := text_at(tree, _DESCRIPTION):
        parts.append(description)
    if names:
        parts.append("Files: " + ", ".join(names))
    if readme is not None:
        _tidy(readme)
        parts.append(readme)
    return SitePage(title=title, parts=tuple(parts))


def _read_file(tree: LexborHTMLParser, url: str, path: list[str]) -> SitePage | None:
    owner, repository, _, *place = path
    raw = f"https://raw.githubusercontent.com/{owner}/{repository}/{'/'.join(place)}"
    notes = (f"raw file: {quote(raw, safe=':/%')}",)
    name = place[-1]
    title = f"{name} in {owner}/{repository}"
    readme = tree.css_first(_README)
    if readme is not None:
        _tidy(readme)
        return SitePage(title=title, parts=(readme,), notes=notes)
    lines = find(_embedded(tree), "rawLines")
    if not isinstance(lines, list):
        return None
    text = "\n".join(line for line in lines[:_MAX_CODE_LINES] if isinstance(line, str))
    suffix = name.rpartition(".")[2].lower() if "." in name else ""
    language = _LANGUAGES.get(suffix, suffix if len(suffix) <= _MAX_SUFFIX_CHARS else "")
    code = Code(text=text, language=language if language.isalnum() else "")
    return SitePage(title=title, parts=(f"# {name}", code), notes=notes)


def _read_thread(tree: LexborHTMLParser) -> SitePage | None:
    """An issue, a pull request or a discussion: what was said, by whom and when, in order."""
    page = _thread_of_data(_embedded(tree))
    return page if page is not None else _thread_of_elements(tree)


def _thread_of_data(data: Any) -> SitePage | None:
    title = ""
    parts: list[Part] = []
    seen: set[str] = set()
    for _, value in walk(data):
        if not isinstance(value, dict) or not (value.get("bodyHTML") or value.get("body")):
            continue
        if not title and isinstance(value.get("title"), str) and "number" in value:
            title = f"{value['title']} #{value['number']}"
            parts += (f"# {title}", f"State: {str(value.get('state', '')).lower()}")
        elif value.get("__typename") not in _COMMENT_TYPES or value.get("isHidden"):
            continue
        key = str(value.get("id") or value.get("createdAt"))
        if key not in seen:
            seen.add(key)
            parts += _said(value)
    return SitePage(title=title, parts=tuple(parts)) if title else None


def _said(value: dict[str, Any]) -> Iterator[Part]:
    """Who wrote an issue or a comment and when, and the text: rendered, or else as it was typed."""
    author = value.get("author")
    login = author.get("login") if isinstance(author, dict) else ""
    yield _introduction(str(login or ""), str(value.get("createdAt") or ""))
    body = LexborHTMLParser(str(value.get("bodyHTML") or "")).body
    if value.get("bodyHTML") and body is not None:
        drop_hidden([body])
        yield body
    else:
        yield str(value.get("body"))


def _thread_of_elements(tree: LexborHTMLParser) -> SitePage | None:
    title = text_at(tree, _TITLE)
    parts: list[Part] = [f"# {title}"]
    if state := text_at(tree, _STATE):
        parts.append(f"State: {state.lower()}")
    inner: set[int] = set()
    for comment in tree.css(_COMMENTS):
        body = comment.css_first(_COMMENT_BODY)
        if body is None or comment.mem_id in inner:
            continue
        inner.update(node.mem_id for node in comment.css(_COMMENTS))
        _tidy(body)
        date = comment.css_first("relative-time[datetime]")
        when = (date.attributes.get("datetime") or "") if date is not None else ""
        parts += (_introduction(text_at(comment, ".author"), when), body)
    return SitePage(title=title, parts=tuple(parts)) if inner else None


def _introduction(author: str, when: str) -> str:
    return " ".join(filter(None, ("##", author or "somebody", when[:10])))


def _tidy(node: LexborNode) -> None:
    drop(node, _NOT_TEXT)
    drop_hidden([node])


def _embedded(tree: LexborHTMLParser) -> list[Any]:
    return [parsed(script.text()) for script in tree.css(_EMBEDDED_DATA)]
