"""``tieout systems``: what is known of each outside system, and how its accounts stood when they were last checked.

``ls`` and ``show`` read declarations and ask no deployment; ``check`` asks one; ``authorize`` stores what a person's
consent gives. Exit codes: 0 nothing is wrong, 1 something is, 2 misunderstood, 3 unreachable or not let in.
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer
from rich.text import Text

from tieout import flows, systems
from tieout.cli import show
from tieout.cli.client import PROBLEM, Api, Failure, connect
from tieout.cli.command import AsJson, Token, Url, command, out, waiting
from tieout.cli.consent import redirected
from tieout.contract import Asked
from tieout.core import credentials

#: Where a browser is sent after a consent unless the vendor's app says otherwise.
REDIRECT = "http://localhost:8912/callback"
app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The outside systems that are known.")


@app.command("ls")
@command
def ls(as_json: AsJson = False) -> None:
    """Every system: what it is to us, and for a target what it lets us do."""
    found = [_brief(name, roles) for name, roles in systems.SYSTEMS.items()]
    if as_json:
        show.as_json(out(), found)
        return
    made = show.table("system", "roles", "class", "quiet", "at once", "kinds")
    for one in found:
        quiet = f"{one['quiet_seconds']} s" if one["quiet_seconds"] else ""
        made.add_row(one["name"], ", ".join(one["roles"]), one["finds"], quiet, str(one["concurrency"] or ""),
                     ", ".join(one["kinds"]))  # fmt: skip
    out().print(made)


@app.command("show")
@command
def show_one(
    name: Annotated[str, typer.Argument(help="Name of a system, as `tieout systems ls` shows it.")],
    as_json: AsJson = False,
) -> None:
    """One system: credentials it needs, what it can be asked, what an answer of its own means, its events."""
    if name not in systems.SYSTEMS:
        raise Failure(PROBLEM, f"There is no system {name!r}.", f"There are: {', '.join(systems.SYSTEMS)}.")
    found = whole(name)
    if as_json:
        show.as_json(out(), found)
        return
    console = out()
    for title, value in found.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            made = show.table(*value[0])
            for row in value:
                made.add_row(*(show.clean(_said(cell)) for cell in row.values()))
            console.print(Text(f"\n{title.replace('_', ' ')}", style="bold"))
            console.print(made)
        elif value not in (None, "", []):
            console.print(
                Text.assemble((f"{title.replace('_', ' ')}: ", "dim"), show.clean(_said(value))), soft_wrap=True
            )


@app.command("check")
@command
def check(
    name: Annotated[str, typer.Argument(help="A system or an account of one (netsuite, netsuite:acme).")] = "",
    again: Annotated[bool, typer.Option("--again", help="Have the accounts checked anew, and wait for it.")] = False,
    wait: Annotated[int, typer.Option(help="With --again: seconds to wait for probe's next run.")] = 120,
    url: Url = "", token: Token = "", as_json: AsJson = False,
) -> None:  # fmt: skip
    """How the accounts that routes name stand: credentials, permissions, clock, limits, drift of their descriptions."""
    api = Api(connect(url, token))
    found = _checks(api, name)
    if again:
        for one in found:
            api.submit("/v1/systems/checks", {"target": one["target"]})
        found = _awaited(api, name, wait)
    if as_json:
        show.as_json(out(), found)
    else:
        for one in found:
            _print_check(one)
    bad = [one["target"] for one in found if one["state"] == "bad"]
    if bad:
        raise Failure(PROBLEM, f"Something is wrong with {', '.join(bad)}.", "Each line above says what.")


@app.command("authorize")
@command
def authorize(
    account: Annotated[str, typer.Argument(help="An account whose token rotates (xero:acme, quickbooks:acme).")],
    stage: Annotated[str, typer.Option(envvar="STAGE", help="Stage of the deployment, as in its secrets' names.")],
    ledger: Annotated[str, typer.Option(envvar="LEDGER_TABLE", help="The deployment's ledger table.")],
    redirect: Annotated[str, typer.Option(help="The redirect address that the vendor's app registers.")] = REDIRECT,
    paste: Annotated[bool, typer.Option("--paste", help="Paste the address instead of listening for it.")] = False,
    wait: Annotated[int, typer.Option(help="Seconds to listen for the browser.")] = 300,
) -> None:
    """Let a person consent, once, and store the first pair of tokens. Needs AWS credentials for secrets and ledger."""
    from tieout.aws import consent  # nothing else of the command needs AWS

    try:
        door = consent.open_door(account, stage, ledger)
        asked = door.ask(redirect)
        out().print(Text(f"Open this address, consent, and come back:\n\n{asked.url}\n"), soft_wrap=True)
        address = typer.prompt("The address at which the browser ended") if paste else redirected(redirect, wait)
        pair = door.answered(asked, address.strip())
    except consent.NoConsent as refusal:
        raise Failure(PROBLEM, str(refusal)) from None
    ends = f"; the refresh token dies on {pair.expires_on} if it is not used" if pair.expires_on else ""
    out().print(Text(f"{account}: stored{ends}."))


def _checks(api: Api, name: str) -> list[dict[str, Any]]:
    found = [one for one in api.get("/v1/systems/checks")["checks"] if name in ("", one["target"], _system(one))]
    if not found:
        raise Failure(PROBLEM, f"No route names an account of {name!r}." if name else "No route names an account.",
                      "`tieout route explain` shows where documents go.")  # fmt: skip
    return found


def _system(one: dict[str, Any]) -> str:
    return str(one["target"]).partition(":")[0]


def _awaited(api: Api, name: str, wait: int) -> list[dict[str, Any]]:
    """The checks once each was made that was asked for, or what there is when the time is over."""
    until = time.monotonic() + wait
    with waiting("for probe to look ..."):
        while True:
            found = _checks(api, name)
            late = [one["target"] for one in found if one["at"] < one["asked"]]
            if not late:
                return found
            if time.monotonic() > until:
                raise Failure(PROBLEM, f"Not checked within {wait} s: {', '.join(late)}.",
                              "Probe runs each minute; look again, or at its log.")  # fmt: skip
            time.sleep(2)


def _print_check(one: dict[str, Any]) -> None:
    when = f"checked {one['at']}" if one["at"] else "never checked"
    out().print(Text.assemble((f"\n{one['target']} ", "bold"), f"{one['state']}, {when}"))
    if one["findings"]:
        made = show.table("what", "stands", "said")
        for finding in one["findings"]:
            made.add_row(*(show.clean(finding[column]) for column in ("what", "state", "said")))
        out().print(made)


def _said(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return "" if value is None else str(value)


def _brief(name: str, roles: tuple[str, ...]) -> dict[str, Any]:
    target = systems.target(name) if "target" in roles else None
    kinds = sorted({kind for kind, _ in target.actions}) if target else []
    return {
        "name": name,
        "roles": list(roles),
        "finds": str(target.finds) if target else "",
        "quiet_seconds": target.quiet.period if target else None,
        "concurrency": target.budget.concurrency if target else None,
        "kinds": kinds,
    }


def whole(name: str) -> dict[str, Any]:
    """Everything that a system declares, plain."""
    roles = systems.SYSTEMS[name]
    found: dict[str, Any] = {"system": name, "roles": list(roles)}
    if "target" in roles:
        found |= _target(name)
    if "source" in roles:
        found |= _source(name)
    if "reader" in roles or "lister" in roles:
        found |= _asked(name, systems.reader(name) if "reader" in roles else systems.lister(name))
    if "lister" in roles:
        how = systems.lister(name).poll
        found["lost_events_are_listed"] = (
            f"every {how.every}, up to {how.settle} ago, {how.overlap} of it again, {how.reach} back at most"
        )
    return found


def _asked(name: str, reader: Asked) -> dict[str, Any]:
    return {
        "asked_secret": f"tieout/<stage>/{name}/<account>",
        "asked_with": reader.auth["scheme"],
        "asking_needs": list(credentials.needs(reader.auth)),
        "asking_credentials_live": credentials.lives(reader.auth),
        "asked_at_once": reader.budget.concurrency,
        "answers_to_asking": [
            {"status": str(row.status) if row.status > 9 else f"{row.status}xx", "says": row.says,
             "verdict": row.verdict.__name__, "code": row.code}
            for row in reader.verdicts
        ],
    }  # fmt: skip


def _target(name: str) -> dict[str, Any]:
    target = systems.target(name)
    scheme = credentials.SCHEMES[target.auth["scheme"]]
    quiet = target.quiet
    return {
        "secret": f"tieout/<stage>/{name}/<account>",
        "scheme": scheme.name,
        "secret_needs": list(credentials.needs(target.auth)),
        "or_by": [f"{one['scheme']}: {', '.join(credentials.needs(one))}"
                  for one in credentials.alternatives(target.auth)[1:]],
        "credentials_live": credentials.lives(target.auth),
        "credentials_die": credentials.dies(target.auth),
        "credentials_renewed": scheme.renewal,
        "class": f"{target.finds} ({target.finds.name.lower()})",
        "quiet_seconds": quiet.period,
        "quiet_is_made_of": f"client time-out {quiet.client_timeout}, processing {quiet.longest_processing}, "
        f"search lag {quiet.search_lag}, clock skew {quiet.clock_skew}, and the function's time-out",
        "calls_at_once": target.budget.concurrency,
        "rates": [{"calls": rate.calls, "seconds": rate.seconds} for rate in target.budget.rates],
        "reference": f"{target.reference.prefix}… of {target.reference.length} characters",
        "actions": [
            {"kind": kind, "action": action, "mapping": one.mapping or "", "echoes": list(one.echo),
             "may be resent": "yes" if one.once else "looks first", "undone by": one.undo or ""}
            for (kind, action), one in target.actions.items()
        ],
        "answers": [
            {"status": str(row.status) if row.status > 9 else f"{row.status}xx", "says": row.says,
             "verdict": row.verdict.__name__, "code": row.code}
            for row in target.verdicts
        ],
    }  # fmt: skip


def _source(name: str) -> dict[str, Any]:
    source = systems.source(name)
    events = [{"event": flow.on.type, "starts": flow.name} for flow in flows.FLOWS if flow.on.source == name]
    events += [{"event": event, "starts": "read again first"} for event in sorted(source.rereads)]
    events += [{"event": event, "starts": "nothing (ignored)"} for event in sorted(source.ignored)]
    return {
        "hook": f"/hooks/{name}/<account>",
        "signing_secrets_in": source.secrets_field,
        "replay_window_seconds": source.replay_window,
        "events": events,
    }
