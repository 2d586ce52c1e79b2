"""Stack Overflow and the other sites of Stack Exchange."""

from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from mcp_server.extract.html.sites.site_page import (
    Part,
    SitePage,
    drop_hidden,
    host_of,
    line_of,
    text_at,
)

_HOSTS = (
    "stackoverflow.com",
    "stackexchange.com",
    "serverfault.com",
    "superuser.com",
    "askubuntu.com",
    "mathoverflow.net",
    "stackapps.com",
)
_BODY = ".js-post-body"
_COMMENT_CHARS = 300
_MAX_COMMENTS = 10
"""Of one post; the first ones are those that readers found worth their votes."""


def read_stack_exchange(tree: LexborHTMLParser, url: str) -> SitePage | None:
    """Read a question and its answers in order, with scores, authors and short comments."""
    host = host_of(url)
    if not any(host == site or host.endswith(f".{site}") for site in _HOSTS):
        return None
    question = tree.css_first("#question")
    if question is None:
        return None
    posts = [question, *tree.css("#answers .answer")]
    drop_hidden(posts)
    title = text_at(tree, "#question-header h1")
    parts: list[Part] = [f"# {title}"] if title else []
    for post in posts:
        body = post.css_first(_BODY)
        if body is not None:
            parts += (_introduction(post, is_question=post is question), body, *_comments(post))
    return SitePage(title=title, parts=tuple(parts))


def _introduction(post: LexborNode, *, is_question: bool) -> str:
    score = post.attributes.get("data-score") or text_at(post, ".js-vote-count")
    says = [f"score {score}"] if score else []
    if "accepted-answer" in (post.attributes.get("class") or "").split():
        says.append("accepted")
    signatures = post.css(".post-signature")
    if signatures:
        signature = signatures[-1]  # an editor's comes before the author's
        if author := text_at(signature, ".user-details a, .user-details [itemprop=name]"):
            says.append(f"by {author}")
        date = signature.css_first(".relativetime")
        if date is not None:
            says.append((date.attributes.get("title") or line_of(date))[:10])
    about = f" ({', '.join(says)})" if says else ""
    return f"## {'Question' if is_question else 'Answer'}{about}"


def _comments(post: LexborNode) -> Iterator[str]:
    comments = post.css(".comment")[:_MAX_COMMENTS]
    lines: list[str] = []
    for comment in comments:
        text = text_at(comment, ".comment-copy")
        if len(text) > _COMMENT_CHARS:
            text = text[:_COMMENT_CHARS].rpartition(" ")[0] + "…"
        if text:
            lines.append(f"- {text_at(comment, '.comment-user')}: {text}")
    if lines:
        yield "Comments:\n" + "\n".join(lines)
