"""An answer as Markdown, for a file: citations are links, the sources a list."""

import re
from collections.abc import Mapping

from agent_client.agent.outcome import Outcome, Source
from agent_client.clean import terminal_text
from agent_client.cli.answer_form import ending
from agent_client.cli.links import web_address
from agent_client.inert_markdown import inert_markdown
from agent_client.report.markdown_form import plain

_CITATION = re.compile(r"\[(\d{1,3})\](?!\()")


def to_markdown(outcome: Outcome) -> str:
    """The answer in the model's own Markdown and its sources; ends with a newline."""
    addresses = {source.number: _address(source.url) for source in outcome.sources}
    answer = inert_markdown(terminal_text(outcome.answer).strip())
    parts = [_linked(answer, addresses)] if answer else []
    what, _ = ending(outcome)
    if what:
        parts.append(f"*{plain(what[:1].upper() + what[1:])}.*")
    if outcome.sources:
        parts += ["## Sources", "\n".join(_source(source) for source in outcome.sources)]
    return "\n\n".join(parts) + "\n"


def _linked(text: str, addresses: Mapping[int, str]) -> str:
    def linked(found: re.Match[str]) -> str:
        address = addresses.get(int(found[1]), "")
        return f"[\\[{found[1]}\\]]({address})" if address else found[0]

    return _CITATION.sub(linked, text)


def _source(source: Source) -> str:
    title = plain(source.title) or "(no title)"
    address = _address(source.url)
    named = f"[{title}]({address}) <{address}>" if address else f"{title} ({plain(source.url)})"
    return f"{source.number}. {named}{'' if source.is_cited else ' (read, not cited)'}"


def _address(url: str) -> str:
    """The address in a form that ends no link of Markdown; "" where it is none of the web."""
    address = web_address(url) or ""
    return address.replace("(", "%28").replace(")", "%29").replace("[", "%5B").replace("]", "%5D")
