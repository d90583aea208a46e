"""The page of credentials: what each system's account must hold, how long it lives, and who renews it."""

from __future__ import annotations

from infra.pages import Files, code, grid, page
from tieout import systems
from tieout.core import credentials


def credential_page() -> Files:
    """Every target by its scheme, and every source by the field that lists what its sender proves itself with."""
    targets, used = [], set()
    for name in systems.TARGETS:
        auth = systems.target(name).auth
        scheme = credentials.SCHEMES[auth["scheme"]]
        used.add(scheme.name)
        needs = ", ".join(code(field) for field in credentials.needs(auth)) or "nothing"
        targets.append((name, code(scheme.name), needs, scheme.lifetime, scheme.renewal))
        if "or" in auth:
            other = credentials.SCHEMES[auth["or"]]
            used.add(other.name)
            needs = ", ".join(code(field) for field in credentials.needs({**auth, "scheme": other.name}))
            targets.append((f"{name}, or", code(other.name), needs, other.lifetime, other.renewal))
    readers = []
    for name in dict.fromkeys((*systems.READERS, *systems.LISTERS)):
        auth = (systems.reader if name in systems.READERS else systems.lister)(name).auth
        scheme = credentials.SCHEMES[auth["scheme"]]
        used.add(scheme.name)
        readers.append((name, code(scheme.name), ", ".join(code(field) for field in credentials.needs(auth))))
        lists = systems.lister(name).auth if name in systems.LISTERS else auth
        if lists != auth:
            used.add(lists["scheme"])
            needs = ", ".join(code(field) for field in credentials.needs(lists))
            readers.append((f"{name}, its lists", code(lists["scheme"]), needs))
    sources = []
    for name in systems.SOURCES:
        source = systems.source(name)
        shows = (
            f"signs; {source.replay_window} s window"
            if source.replay_window
            else "shows a shared credential; no window"
        )
        sources.append((name, code(source.secrets_field), shows))
    schemes = [(code(one.name), one.says, "used" if one.name in used else "") for one in credentials.SCHEMES.values()]
    return {
        "docs/credentials.md": page(
            "Credentials",
            "`shared/tieout/core/credentials.py` and the systems' declarations",
            ["A secret lies at `tieout/<stage>/<system>/<account>` in Secrets Manager, as a JSON object. Beside the",
             "fields below it may hold `expires_on` (YYYY-MM-DD): the day on which a person must have renewed it.",
             "Probe looks at every account that we call once an hour: `credential_days_left` is the nearest end,",
             "`credentials_wanting` counts secrets that are missing, incomplete or dead; both have an alarm, and the",
             "log names the account (`credential_wants_a_person`). `tieout systems show NAME` says it of one system."],
            ["## Targets", "", *grid(("System", "Scheme", "Fields", "Lives", "Renewed"), targets)],
            ["## Sources", "", "Each lists its active signing secrets or credentials; two may be active in a rotation.",
             "", *grid(("System", "Field", "Its sender"), sources)],
            ["## Sources that are asked", "", "Beside what its sender shows, the secret holds what its reading needs.",
             "", *grid(("System", "Scheme", "Fields"), readers)],
            ["## Schemes", "", *grid(("Scheme", "What it is", "By a system here"), schemes), "",
             "A rotating token is renewed by one process at a time (a lease in the ledger), and the new pair is stored",
             "at `.../<account>/token` before it is used."],
        )
    }  # fmt: skip
