"""The page of credentials: what each system's account must hold, how long it lives, and who renews it."""

from __future__ import annotations

from collections.abc import Mapping

from infra.pages import Files, code, grid, page
from tieout import systems
from tieout.contract import Switched
from tieout.core import credentials


def _row(title: str, auth: Mapping[str, str]) -> tuple[str, ...]:
    """One declaration: its scheme, what it needs, how long that lives, when it dies, who renews it."""
    scheme = credentials.SCHEMES[auth["scheme"]]
    needs = ", ".join(code(field) for field in credentials.needs(auth)) or "nothing; of an SFTP host see Schemes"
    return title, code(scheme.name), needs, credentials.lives(auth), credentials.dies(auth), scheme.renewal


def _rows(name: str, auth: Mapping[str, str]) -> list[tuple[str, ...]]:
    first, *others = credentials.alternatives(auth)
    return [_row(name, first), *(_row(f"{name}, or", one) for one in others)]


def credential_page() -> Files:
    """Every system by its schemes, and every source by the field that lists what its sender proves itself with."""
    targets = [row for name in systems.TARGETS for row in _rows(name, systems.target(name).auth)]
    declared = [systems.target(name).auth for name in systems.TARGETS]
    readers: list[tuple[str, ...]] = []
    for name in dict.fromkeys((*systems.READERS, *systems.LISTERS)):
        auth = (systems.reader if name in systems.READERS else systems.lister)(name).auth
        lists = systems.lister(name) if name in systems.LISTERS else None
        same = name in systems.TARGETS and systems.target(name).auth == auth
        readers += [(name, "as the target above", "", "", "", "")] if same else _rows(name, auth)
        declared.append(auth)
        if lists is not None and lists.auth != auth:
            on = f" (`settings.{lists.switch[0]}: {lists.switch[1]}`)" if isinstance(lists, Switched) else ""
            readers += _rows(f"{name}, its lists{on}", lists.auth)
            declared.append(lists.auth)
    used = {one["scheme"] for auth in declared for one in credentials.alternatives(auth)}
    sources = []
    for name in systems.SOURCES:
        source = systems.source(name)
        window = f"signs; {source.replay_window} s window"
        shows = window if source.replay_window else "shows a shared credential; no window"
        without = "what it lists is all that comes" if name in systems.LISTERS else "nothing comes"
        sources.append((name, code(source.secrets_field), shows, "no end of its own", without))
    consents = [name for name in systems.TARGETS if "authorize_url" in systems.target(name).auth]
    schemes = [(code(one.name), one.says, "used" if one.name in used else "") for one in credentials.SCHEMES.values()]
    heads = ("System", "Scheme", "Fields", "Lives", "Dies", "Renewed")
    return {
        "docs/credentials.md": page(
            "Credentials",
            "`shared/tieout/core/credentials.py` and the systems' declarations",
            ["A secret lies at `tieout/<stage>/<system>/<account>` in Secrets Manager, as a JSON object. Beside the",
             "fields below it may hold `expires_on`: the day (YYYY-MM-DD) on which a person must have renewed it, or",
             "an object with a day for each field that has one, signing secrets included.",
             "Probe looks at every account that we call or hear once an hour: `credential_days_left` is the nearest",
             "end, `credentials_wanting` counts accounts whose secret is missing, incomplete or dead; both have an",
             "alarm, and the log names the account (`credential_wants_a_person`), also where something dies and nobody",
             "wrote down when. `tieout systems show NAME` tells of one system, `tieout systems check` of accounts."],
            ["## Targets", "", "Where a system has a second line, an account is reached by the scheme that its",
             "`settings.scheme` names, else by the other one that its secret fills, else by the first.", "",
             *grid(heads, targets)],
            ["## Sources", "", "Each lists its active signing secrets or credentials; two may be active in a rotation.",
             "", *grid(("System", "Field", "Its sender", "Lives", "Without it"), sources)],
            ["## Sources that are asked", "", "Beside what its sender shows, the secret holds what its reading needs.",
             "", *grid(heads, readers)],
            ["## Schemes", "", *grid(("Scheme", "What it is", "By a system here"), schemes), "",
             "A rotating token is renewed by one process at a time (a lease in the ledger), and the new pair is stored",
             "at `.../<account>/token` before it is used.", "",
             "The first pair is a person's consent, once (authorization code, with `state`, and PKCE where the vendor",
             "takes it). Put `base_url`, `client_id` and `client_secret` into the secret, register the redirect",
             "address with the vendor's app, and run one of these with AWS credentials that may read and write that",
             "secret and take a lease in the ledger (`LedgerTable` of the stack's outputs):", "", "```",
             *(f"tieout systems authorize {name}:ACCOUNT --stage STAGE --ledger TABLE" for name in consents), "```",
             "", "It prints the address to open and listens on loopback for the answer; `--paste` asks for the address",
             "at which the browser ended instead."],
        )
    }  # fmt: skip
