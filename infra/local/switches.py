"""The local page: what the world is doing, and switches that make its sandbox systems misbehave.

``/_local/`` is for people, ``/_local/faults`` for the command (``python -m infra.local fault``) and for scripts. The
switches are only those of the sandboxes: nothing here touches the product.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from jinja2 import DictLoader, Environment

from infra.local.api import Response
from infra.local.sandbox import Sandboxes
from infra.local.sandbox.faults import Fault, Faults, meanings

if TYPE_CHECKING:
    from infra.local.world import World

ARGUMENTS: Final = ("seconds", "retry_after", "committed", "undone")
_PAGE: Final = """<!doctype html><html lang=en><meta charset=utf-8><title>The local world</title>
<meta name=viewport content="width=device-width, initial-scale=1">
<style>
 body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
 table{border-collapse:collapse;width:100%} th,td{text-align:left;padding:.3rem .8rem .3rem 0;vertical-align:top;
 border-bottom:1px solid #ddd}
 label{display:block;margin:.6rem 0 .1rem} input,select,button{font:inherit;padding:.25rem .4rem}
 input[name=match]{width:100%;max-width:36rem;font-family:ui-monospace,monospace} code{overflow-wrap:anywhere}
 .said{background:#fff3cd;padding:.4rem .8rem}
 @media (prefers-color-scheme:dark){body{background:#15181c;color:#e6e8ea} th,td{border-color:#444}
 .said{background:#4d3e00} a{color:#8ab4f8}}
</style>
<h1>The local world</h1>
<p>World time {{ now }} (clock: {{ clock }}). {{ moving }}
 <a href="/auth/login">The desk</a></p>
{% if said %}<p class=said role=status>{{ said }}</p>{% endif %}
<h2>Make a system misbehave</h2>
<form method=post action="/_local/faults">
 <label for=kind>What it does</label>
 <select id=kind name=kind>{% for kind, meaning in kinds %}<option value="{{ kind }}">{{ kind }}: {{ meaning }}</option>
 {% endfor %}</select>
 <label for=match>To which calls (a regular expression over <code>METHOD /system/account/path</code>)</label>
 <input id=match name=match list=places value=".*" required>
 <datalist id=places>{% for place in places %}<option value="{{ place }}">{% endfor %}</datalist>
 <label for=times>How often (0: always)</label><input id=times name=times type=number min=0 value=1>
 <label for=after>After how many calls</label><input id=after name=after type=number min=0 value=0>
 <label for=seconds>Seconds, where the kind has any</label><input id=seconds name=seconds type=number min=0>
 <label for=retry_after>Seconds to wait, as a rate limit says them</label>
 <input id=retry_after name=retry_after type=number min=0>
 <p><label><input type=checkbox name=committed value=1> The work is done first, where the kind may do it or not</label>
 <label><input type=checkbox name=undone value=1> The work is not done, where the kind would do it</label>
 <p><button>Switch on</button></p>
</form>
<h2>Switched on</h2>
{% if faults %}<table><thead><tr><th>What<th>Calls<th>Struck<th>Of</tr></thead><tbody>
{% for one in faults %}<tr>
<td>{{ one.kind }}{% for name, value in one.args.items() %}, {{ name }} {{ value }}{% endfor %}
<td><code>{{ one.match }}</code><td>{{ one.struck }}<td>{{ one.times or "always" }}</tr>{% endfor %}
</tbody></table>
<form method=post action="/_local/faults"><input type=hidden name=clear value=1>
 <p><button>Behave again</button></p></form>
{% else %}<p>Every system behaves.</p>{% endif %}
<h2>The systems</h2>
<table><thead><tr><th>Account<th>Address<th>Documents in its book</tr></thead><tbody>
{% for name, url, count in systems %}<tr><td>{{ name }}<td><code>{{ url }}</code><td>{{ count }}</tr>{% endfor %}
</tbody></table></html>
"""
_TEMPLATES: Final = Environment(loader=DictLoader({"page": _PAGE}), autoescape=True)


def answer(world: World, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response | None:
    """The page and its switches; ``None`` for what is none of theirs, or where the world has no sandboxes."""
    path = target.partition("?")[0]
    if not isinstance(world.sandboxes, Sandboxes) or path not in ("/_local/", "/_local/faults"):
        return None
    if method in ("POST", "DELETE") and not _from_here(headers):
        # Any page in the same browser can post to a port of this machine.
        return _json(403, {"message": "switches are worked from this page or the command line"})
    if path == "/_local/":
        return _page(world) if method == "GET" else _json(405, {"message": "GET"})
    works: dict[str, Callable[[], Response]] = {
        "GET": lambda: _json(200, {"kinds": dict(meanings()), "faults": _known(world).describe()}),
        "DELETE": lambda: _cleared(world),
        "POST": lambda: _switch(world, headers.get("content-type", ""), body),
    }
    return works.get(method, lambda: _json(405, {"message": "GET, POST or DELETE"}))()


def _sandboxes(world: World) -> Sandboxes:
    assert isinstance(world.sandboxes, Sandboxes)
    return world.sandboxes


def _known(world: World) -> Faults:
    return _sandboxes(world).faults


def _from_here(headers: Mapping[str, str]) -> bool:
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _switch(world: World, content_type: str, body: bytes) -> Response:
    by_form = content_type.startswith("application/x-www-form-urlencoded")
    try:
        given = _form(body) if by_form else json.loads(body)
        if given.get("clear"):
            _known(world).clear()
            said = "Every system behaves."
        else:
            fault = fault_of(given)
            said = _sandboxes(world).order(fault)
    except (ValueError, TypeError, AttributeError, re.error) as error:
        return _page(world, f"Not understood: {error}", 400) if by_form else _json(400, {"message": str(error)})
    return _page(world, said) if by_form else _json(201, {"message": said})


def _cleared(world: World) -> Response:
    _known(world).clear()
    return _json(200, {"message": "Every system behaves."})


def _form(body: bytes) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


def fault_of(given: Mapping[str, Any]) -> Fault:
    """A switch as it was asked for. ``ValueError`` where it is none."""
    unknown = set(given) - {"kind", "match", "times", "after", *ARGUMENTS}
    if unknown:
        raise ValueError(f"no switch has {', '.join(sorted(unknown))}")
    times, after = _whole("times", given.get("times", 1)), _whole("after", given.get("after", 0))
    args = {name: _whole(name, given[name]) for name in ARGUMENTS if given.get(name) not in (None, "")}
    return Fault(str(given.get("kind", "")), str(given.get("match") or ".*"), times, after, args)


def _whole(name: str, value: Any) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 8):
        raise ValueError(f"{name} is {text[:20]!r}, not a whole number")
    return int(text)


def _page(world: World, said: str = "", status: int = 200) -> Response:
    sandboxes = _sandboxes(world)
    places = [f"(POST|PUT|PATCH) /{one.name}/{one.account}" for one in sandboxes.accounts]
    places += [f"HOOK /hooks/{one.name}/{one.account}" for one in sandboxes.accounts if hasattr(one, "courier")]
    systems = [
        (f"{one.name}/{one.account}", getattr(one, "base_url", "the file drop"), len(list(one.book())))
        for one in sandboxes.accounts
    ]
    moving = _moving(json.loads(world.still_moving()))
    text = _TEMPLATES.get_template("page").render(
        now=f"{world.clock.now():%Y-%m-%d %H:%M:%S} UTC", clock=str(world.clock), moving=moving,
        said=said, kinds=meanings(), places=places, faults=_known(world).describe(), systems=systems,
    )  # fmt: skip
    headers = {"content-type": "text/html; charset=utf-8", "cache-control": "no-store"}
    return Response(HTTPStatus(status), headers, text.encode())


def _moving(state: Mapping[str, Any]) -> str:
    """What has not come to rest, as a sentence."""
    said = [f"{count} in {name}" for name in ("messages", "executions") for name, count in state[name].items()]
    due = "" if state["next due"] == "None" else f" The next thing is due at {state['next due'][:19]}."
    return (f"Moving: {', '.join(said)}." if said else "Nothing is moving.") + due


def _json(status: int, value: Any) -> Response:
    return Response(status, {"content-type": "application/json"}, json.dumps(value, default=str).encode())
