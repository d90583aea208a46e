"""Answers as tables and sentences. What comes from outside is text, never markup, and holds no control characters."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

STYLES: Final = {
    "accepted": "green", "posted": "green", "made": "green", "pending": "blue", "held": "yellow", "open": "yellow",
    "rejected": "red", "case": "red", "late": "red",
}  # fmt: skip
SHOWN: Final = ("pending", "held", "rejected", "accepted", "compensated", "superseded")


def clean(value: Any) -> str:
    """Text for a terminal: what could steer it (escape sequences and the like) is shown as a mark."""
    text = "" if value is None else str(value)
    return "".join(one if one in "\n\t" or unicodedata.category(one) not in ("Cc", "Cf") else "�" for one in text)


def capacity(console: Console, found: Sequence[Mapping[str, Any]]) -> None:
    """What waits at each target, by class, and the forecast in a sentence."""
    made = table("target", "waiting", "by class", "an hour", "in a sentence", right=("waiting", "an hour"))
    for one in found:
        classes = ", ".join(f"{row['waiting']} of class {row['priority']}" for row in one["by_class"])
        said = Text(clean(one["sentence"]), style="" if one["fits"] else "bold red")
        made.add_row(clean(one["target"]), str(one["waiting"]), classes, str(one["an_hour"]), said)
    console.print(made)


def as_json(console: Console, value: Any) -> None:
    """One JSON document on standard output, whatever it is."""
    console.file.write(clean(json.dumps(value, indent=2, ensure_ascii=False)) + "\n")


def word(text: str) -> Text:
    """A status word in its colour."""
    return Text(clean(text), style=STYLES.get(text, ""))


def money(one: Mapping[str, Any] | None) -> Text:
    """An amount with all decimals of its currency."""
    if not one:
        return Text("")
    whole, dot, part = str(one["amount"]).partition(".")
    sign = "-" if whole.startswith("-") else ""
    return Text.assemble(f"{sign}{int(whole.lstrip('-')):,}{dot}{part} ", (clean(one["currency"]), "dim"))


def moneys(many: Iterable[Mapping[str, Any]]) -> Text:
    """Amounts, one a line."""
    return Text("\n").join([money(one) for one in many])


def moment(text: Any) -> Text:
    """An instant without its milliseconds."""
    return Text(clean(str(text or "")[:19].replace("T", " ")), style="dim")


def table(*columns: str, right: Sequence[str] = ()) -> Table:
    """An empty table in the house's style."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="dim")
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return made


def lines(console: Console, found: Sequence[Mapping[str, Any]], none: str = "Nothing fits.") -> None:
    """Postings, events or runs."""
    if not found:
        console.print(none)
        return
    made = table("status", "what", "entity", "target", "amount", "changed (UTC)", "in the way", right=("amount",))
    for line in found:
        status = Text.assemble(word(line["shown"]), (" late", "bold red") if line["late"] else "")
        about = line["type"] if line["what"] == "event" else line["kind"] if line["what"] == "posting" else line["flow"]
        made.add_row(
            status, Text.assemble((clean(about), "dim"), " ", clean(line["name"])), clean(line["entity"]),
            clean(line["target"] or line["source"]), money(line["money"]), moment(line["updated"]),
            clean(line["sentence"]),
        )  # fmt: skip
    console.print(made)


def listing(console: Console, answer: Mapping[str, Any]) -> None:
    """A page of lines, and how to get the next."""
    lines(console, answer["lines"])
    if not answer["whole"]:
        console.print("Only the first part of what there is was looked at: choose fewer --days.", style="yellow")
    if answer["cursor"]:
        console.print(Text(f"More: --cursor {clean(answer['cursor'])}", style="dim"))


def overview(console: Console, seen: Mapping[str, Any]) -> None:
    """The board, the targets, and what needs somebody."""
    console.print(Text.assemble(("Open now, and finished since ", "dim"), clean(seen["since"]), (" (UTC)", "dim")))
    made = table("documents", *SHOWN, right=SHOWN)
    for row in seen["board"]:
        cells = [
            Text("\n").join([Text(str(cell["count"])), *([moneys(cell["money"])] if cell["money"] else [])])
            if (cell := row["cells"][state])["count"]
            else Text("·", style="dim")
            for state in SHOWN
        ]
        made.add_row(Text(clean(f"{row['kind']} {row['currency']}".strip())), *cells)
    if seen["board"]:
        console.print(made)
    for one in seen["targets"]:
        counts = ", ".join(f"{count} {state}" for state, count in one["cells"].items() if count)
        late = f", {one['late']} late" if one["late"] else ""
        console.print(Text.assemble((f"{clean(one['target']):18}", "bold"), clean(f"{counts}{late}")))
    cases = seen["cases"]["count"]
    console.print(
        Text.assemble(
            f"\n{seen['deliveries']} deliveries received; ",
            (f"{cases} open case{'s' * (cases != 1)}", "red" if cases else "green"),
            f"; {seen['late_count']} late",
        )
    )


def cases(console: Console, causes: Sequence[Mapping[str, Any]]) -> None:
    """Open cases by cause."""
    if not causes:
        console.print("No open case. Nobody has to act.", style="green")
    for cause in causes:
        head = Text.assemble(
            (clean(cause["severity"]), "bold red" if cause["severity"] in ("critical", "error") else "yellow"), " ",
            (clean(cause["code"]), "bold"), f"  {cause['sum']['count']}  ", moneys(cause["sum"]["money"]),
        )  # fmt: skip
        console.print(head)
        console.print(Text(clean(f"  {cause['cause']} {cause['owner']} has it. To do: {cause['remedy']}")))
        made = table("what", "in a sentence", "entity", "money", "open since (UTC)", "due by (UTC)", right=("money",))
        for case in cause["cases"]:
            line = case["line"]
            due = Text.assemble(moment(line["deadline"]), (" late", "bold red") if line["late"] else "")
            name = line["name"] if line["what"] != "posting" else f"{line['kind']} {line['name']}"
            made.add_row(clean(name), clean(case["sentence"]), clean(line["entity"]), money(line["money"]),
                         moment(case["opened"]), due)  # fmt: skip
        console.print(made)


def tie(console: Console, seen: Mapping[str, Any]) -> None:
    """The tie-out, its total and its differences."""
    rows = [*seen["rows"], seen["received"]]
    currencies = sorted({one["currency"] for row in rows for one in row["money"]})
    made = table("deliveries", "count", *currencies, right=("count", *currencies))
    for row in rows:
        held = {one["currency"]: one for one in row["money"]}
        amounts = [
            Text(money(held[code]).plain.rpartition(" ")[0]) if code in held else Text("·") for code in currencies
        ]
        made.add_row(Text(clean(row["name"]), style="bold" if row is rows[-1] else ""), str(row["count"]), *amounts)
    console.print(made)
    for one in seen["differences"]:
        console.print(Text(clean(f"{one['kind']}: {one['about']}: {one['said']}"), style="red"))
    said = ("It ties out.", "green") if seen["balanced"] else ("It does not tie out.", "bold red")
    console.print(Text(said[0], style=said[1]))


def thing(console: Console, what: str, view: Mapping[str, Any]) -> None:
    """One posting, event or run."""
    line = view["line"]
    kind = {"postings": line["kind"], "events": line["type"], "runs": line["flow"]}[what]
    console.print(
        Text.assemble((clean(f"{kind} {line['name']}"), "bold"), "  ", word(line["shown"]),
                      (" late", "bold red") if line["late"] else "", "  ", money(line["money"]))
    )  # fmt: skip
    console.print(Text(clean(view["status"])), soft_wrap=True)
    console.print()
    for moment_ in view.get("timeline", []):
        note = " ".join(f"{name}={value}" for name, value in moment_["note"].items() if name not in ("event", "target"))
        state = f"{moment_['state']:11}" if moment_["state"] else " " * 11
        console.print(
            Text.assemble(moment(moment_["at"]), "  ", (clean(state), "bold"), " ", clean(moment_["said"]),
                          (f"  {clean(note)}" if note else "", "dim"),
                          ("  CHAIN BROKEN" if moment_["broken"] else "", "bold red")),
            soft_wrap=True,
        )  # fmt: skip
    if "chain_whole" in view:
        whole = (
            ("history whole", "green") if view["chain_whole"] else (f"history broken at {view['breaks']}", "bold red")
        )
        console.print(Text(whole[0], style=whole[1]))
    made = table("fact", "value")
    for name, value in {**view["facts"], "key": line["key"], "vault": view.get("vault")}.items():
        if value not in (None, ""):
            made.add_row(Text(clean(name), style="dim"), clean(value))
    console.print(made)
    for name in ("postings", "related", "told", "conflicts"):
        if view.get(name):
            console.print(Text(name, style="bold"))
            lines(console, view[name])
    for name in ("payload", "document"):
        if view.get(name) is not None:
            console.print(Text(name, style="bold"))
            value = view[name] if isinstance(view[name], str) else json.dumps(view[name], indent=2, ensure_ascii=False)
            console.print(Text(clean(value)), soft_wrap=True)
    if view.get("payload_hidden"):
        console.print("Documents and payloads are shown to operators, approvers and auditors.", style="dim")
