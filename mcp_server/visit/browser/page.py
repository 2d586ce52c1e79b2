"""One page in the browser: load it, wait until its scripts have filled it, take its document.

Needs the extra `browser`; `mcp_server.visit.browser` imports this module when it renders.
"""

from typing import Any, cast

import anyio
from playwright.async_api import BrowserContext, CDPSession, Page, Request, Response
from playwright.async_api import Error as PlaywrightError

from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.visit.browser.guarded_proxy import Door
from mcp_server.visit.browser.process import Chromium
from mcp_server.visit.fetching.refusals import bot_wall, refusal
from mcp_server.visit.types import Resource

_QUIET_SECONDS = 0.5
"""A page is done when neither its text nor its requests changed for so long."""
_SETTLED_SECONDS = 2.0
"""A page that never stops asking for things is done when its text did not change for so long."""
_SHELL_CHARS = 200
_SHELL_QUIET_SECONDS = 1.5
"""A page with less text than that is still a shell and gets more time: its scripts may be slow."""
_PROBE_SECONDS = 0.1
_MAX_REQUESTS = 1_000
"""A page that asks for more is taken as it is."""

_BODY_HEADERS = frozenset(("content-encoding", "content-length", "transfer-encoding"))
_WORLD = "seekling"

_TRY_ANOTHER = "try another result"
_LATER = "try again later, or try another result"

# Runs in a world of its own, where the page's scripts cannot replace what it calls. The getters
# are taken from the prototypes, since a form field named "attributes" hides the form's own. The
# tree is the one that a reader sees: shadow roots in place of their hosts' children, slots filled.
# What no reader sees with scripts on is left out; a <noscript> would only deny what was rendered.
_READER = """(() => {
const getter = (owner, name) =>
  Function.prototype.call.bind(Object.getOwnPropertyDescriptor(owner.prototype, name).get);
const typeOf = getter(Node, "nodeType");
const childrenOf = getter(Node, "childNodes");
const tagOf = getter(Element, "localName");
const attributesOf = getter(Element, "attributes");
const shadowOf = getter(Element, "shadowRoot");
const rootOf = getter(Document, "documentElement");
const stateOf = getter(Document, "readyState");

const words = (text) => new Set(text.split(" "));
const unread = words("script style noscript template iframe frame object embed");
const empty = words("area base br col hr img input link meta param source track wbr");
const names = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"};
const escape = (text) => text.replace(/[&<>"]/g, (char) => names[char]);

const isRead = (element) => !unread.has(tagOf(element)) || (tagOf(element) === "script" &&
  Element.prototype.getAttribute.call(element, "type") === "application/ld+json");
const inside = (element) => {
  const shadow = shadowOf(element);
  if (shadow) return childrenOf(shadow);
  const given = tagOf(element) === "slot" && element.assignedNodes?.({flatten: true});
  return given && given.length ? given : childrenOf(element);
};
const pushAll = (stack, nodes) => {  // the last first; a spread would fail on very long lists
  for (let index = nodes.length - 1; index >= 0; index--) stack.push(nodes[index]);
};
const startTag = (element) => {
  let tag = "<" + tagOf(element);
  for (const {name, value} of attributesOf(element)) tag += ` ${name}="${escape(value)}"`;
  return tag + ">";
};

return {
  measure: () => {
    let size = 0;
    const todo = [rootOf(document)];
    while (todo.length) {
      const node = todo.pop();
      if (!node) continue;
      if (typeOf(node) === 3) size += node.data.length;
      else if (typeOf(node) === 1 && isRead(node)) pushAll(todo, inside(node));
    }
    return {isLoading: stateOf(document) !== "complete", size};
  },
  serialise: (maxChars) => {
    const pieces = ["<!doctype html>"];
    let size = 0;
    const write = (piece) => { size += piece.length; pieces.push(piece); };
    const todo = [rootOf(document)];
    while (todo.length && size <= maxChars) {
      const node = todo.pop();
      if (!node) continue;
      if (typeof node === "string") write(node);
      else if (typeOf(node) === 3) write(escape(node.data));
      else if (typeOf(node) === 1 && isRead(node)) {
        const tag = tagOf(node);
        write(startTag(node));
        if (empty.has(tag)) continue;
        todo.push(`</${tag}>`);
        if (tag === "script") todo.push(node.textContent.replaceAll("</", "<\\\\/"));
        else pushAll(todo, inside(node));
      }
    }
    return {html: size <= maxChars ? pieces.join("") : null};
  },
};
})()"""


async def render_page(
    chromium: Chromium,
    url: str,
    *,
    door: Door,
    user_agent: str,
    settle_until: float,
    max_body_chars: int,
) -> Resource:
    """Load a URL as a visitor without a past, run its scripts and take its document.

    Args:
        chromium: a running browser.
        url: has passed the guard.
        door: the page's way to the network, still unused.
        user_agent: what the page is told.
        settle_until: time on anyio's clock at which a page that is never done is taken as it is.
        max_body_chars: of the document as HTML.

    Raises:
        BlockedUrl: the page leads to a URL that is not allowed.
        FetchError: the document did not come, is no page, is too large, or broke the browser.
        TimeoutError: the browser is stuck.
    """
    load = _Load()
    try:
        async with chromium.open_context(door, user_agent=user_agent) as context:
            with load.scope:
                page = await load.start(context)
                answer = await page.goto(url, wait_until="commit", timeout=0)
                _accept(url, load.answer or answer)
                html = await _read(context, page, load, settle_until, max_body_chars)
                final = _accept(url, load.answer or answer)
                if not page.url.startswith(("http://", "https://")):
                    raise _failure(url, load, door) or _not_loaded(url)  # the browser's own page
                return _resource(url, page.url, final, html)
        raise _broken(url)
    except PlaywrightError as exc:
        raise _failure(url, load, door) or _explained(url, exc) from None


class _Load:
    """What one page asked for, and when that last changed."""

    def __init__(self) -> None:
        self.target = ""
        """The URL of the document that was asked for last."""
        self.answer: Response | None = None
        """Its answer."""
        self.scope = anyio.CancelScope()
        """Left when the page's process has died; calls into it would wait for ever."""
        self.changed_at = anyio.current_time()
        self.pending = 0
        self.total = 0

    async def start(self, context: BrowserContext) -> Page:
        """Open the page."""
        page = await context.new_page()
        page.on("request", self._on_request)
        page.on("requestfinished", self._on_end)
        page.on("requestfailed", self._on_end)
        page.on("response", self._on_response)
        page.on("crash", self._on_crash)
        return page

    def _on_request(self, request: Request) -> None:
        if not _is_of_main_frame(request):
            return
        self.changed_at = anyio.current_time()
        self.pending += 1
        self.total += 1
        if request.is_navigation_request():
            self.target = request.url

    def _on_end(self, request: Request) -> None:
        if _is_of_main_frame(request):
            self.changed_at = anyio.current_time()
            self.pending -= 1

    def _on_response(self, response: Response) -> None:
        request = response.request
        if request.is_navigation_request() and _is_of_main_frame(request):
            self.answer = response

    def _on_crash(self, page: Page) -> None:
        self.scope.cancel()


def _is_of_main_frame(request: Request) -> bool:
    """Whether a request is of the page itself, not of a frame in it, whose text is not read."""
    try:
        return request.frame.parent_frame is None
    except PlaywrightError:  # its page is not there yet, so it is for the page
        return True


async def _read(
    context: BrowserContext, page: Page, load: _Load, settle_until: float, max_chars: int
) -> str:
    """The document of a page when it is filled.

    Raises:
        FetchError: it is longer than `max_chars`.
    """
    devtools = await context.new_cdp_session(page)
    tree = cast(dict[str, Any], await devtools.send("Page.getFrameTree"))
    frame_id: str = tree["frameTree"]["frame"]["id"]
    await _settle(devtools, frame_id, load, settle_until)
    html = await _serialise(devtools, frame_id, max_chars)
    if html is None:
        reason = f"the page is larger than {max_chars:,} characters"
        raise FetchError(load.target, reason, hint=_TRY_ANOTHER)
    return html


def _resource(url: str, final_url: str, answer: Response, html: str) -> Resource:
    body = html.encode("utf-8", "replace")  # scripts can make lone surrogates
    wall = bot_wall(url, answer.status, answer.headers, body)
    if wall is not None:
        raise wall
    content_type = "text/html; charset=utf-8"
    kept = {name: value for name, value in answer.headers.items() if name not in _BODY_HEADERS}
    return Resource(
        url=url,
        final_url=final_url,
        status=answer.status,
        content_type=content_type,
        body=body,
        headers=kept | {"content-type": content_type},
    )


async def _settle(devtools: CDPSession, frame_id: str, load: _Load, until: float) -> None:
    """Wait until the page is filled; at the latest until the given time."""
    size = 0
    text_changed_at = anyio.current_time()
    while anyio.current_time() < until and load.total <= _MAX_REQUESTS:
        measured = await _evaluate(devtools, frame_id, "measure()")
        now = anyio.current_time()
        if measured is None or measured["size"] != size:
            size = measured["size"] if measured else 0
            text_changed_at = now
        else:
            still_seconds = now - text_changed_at
            quiet_seconds = min(still_seconds, now - load.changed_at)
            is_busy = measured["isLoading"] or load.pending > 0
            if size >= _SHELL_CHARS and still_seconds >= _SETTLED_SECONDS:
                return
            enough = _QUIET_SECONDS if size >= _SHELL_CHARS else _SHELL_QUIET_SECONDS
            if not is_busy and quiet_seconds >= enough:
                return
        await anyio.sleep(_PROBE_SECONDS)


async def _serialise(devtools: CDPSession, frame_id: str, max_chars: int) -> str | None:
    """The document as HTML, or None when it is longer than `max_chars`."""
    while True:
        reply = await _evaluate(devtools, frame_id, f"serialise({max_chars})")
        if reply is not None:
            return reply["html"]
        await anyio.sleep(_PROBE_SECONDS)


async def _evaluate(devtools: CDPSession, frame_id: str, call: str) -> dict[str, Any] | None:
    """What a call of `_READER` gives in our own world of the current document.

    None when the document went away meanwhile, because the page leads elsewhere.
    """
    try:
        world = await devtools.send(
            "Page.createIsolatedWorld", {"frameId": frame_id, "worldName": _WORLD}
        )
        reply = cast(
            dict[str, Any],
            await devtools.send(
                "Runtime.evaluate",
                {
                    "expression": f"{_READER}.{call}",
                    "contextId": world["executionContextId"],
                    "returnByValue": True,
                },
            ),
        )
    except PlaywrightError as exc:
        if "context" in exc.message and "closed" not in exc.message:
            return None
        raise
    return cast(dict[str, Any] | None, reply["result"].get("value"))


def _accept(url: str, answer: Response | None) -> Response:
    """The answer, if it is a page.

    Raises:
        FetchError: the site refused it, or it is a file.
    """
    if answer is None:
        raise FetchError(url, "the page led away from itself before it came", hint=_TRY_ANOTHER)
    if answer.status >= 400:
        raise refusal(url, answer.status, answer.headers)
    media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in ("", "text/html", "application/xhtml+xml"):
        reason = f"the page's script leads to a file of type {media_type[:80]}"
        raise FetchError(url, reason, hint=_TRY_ANOTHER)
    return answer


def _failure(url: str, load: _Load, door: Door) -> BlockedUrl | FetchError | None:
    """Why the proxy did not reach the document, if that is what happened."""
    failure = door.failure_at(load.target)
    if isinstance(failure, BlockedUrl):
        reason = f"the page leads to a URL that is not allowed ({failure.reason})"
        return BlockedUrl(url, reason, hint=_TRY_ANOTHER)
    if failure is None and door.is_spent:
        reason = f"the page loads more than {door.max_bytes:,} bytes"
        return FetchError(url, reason, hint=_TRY_ANOTHER)
    return failure


def _explained(url: str, exc: PlaywrightError) -> FetchError:
    """Say what failed in plain words: the browser's own tell of ports and file names."""
    if "crash" in exc.message or "has been closed" in exc.message:
        return _broken(url)
    if "ERR_CERT" in exc.message or "ERR_SSL" in exc.message:
        return FetchError(url, "the secure connection failed (TLS)", hint=_TRY_ANOTHER)
    if "Download is starting" in exc.message:
        return FetchError(url, "the page is a file to download", hint=_TRY_ANOTHER)
    return _not_loaded(url)


def _not_loaded(url: str) -> FetchError:
    reason = "the page could not be loaded in the browser"
    return FetchError(url, reason, retryable=True, hint=_LATER)


def _broken(url: str) -> FetchError:
    return FetchError(url, "the page broke the browser", hint=_TRY_ANOTHER)
