"""Our own write-back starts no flow: for every system that is both asked and told, over the registry.

A system that we write objects of a kind to, and from which a flow reads objects of that very kind, must show our
reference on them; a new one without a place below fails here.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import pytest

from tests.toy import stage
from tests.unit.systems.test_target_laws import always
from tieout import flows, systems
from tieout.core import keys, ledger
from tieout.flows import Flow
from tieout.work import intake
from tieout.work.ports import Message

EVENTS: Final = Path(__file__).resolve().parents[3] / "events"
#: Where an event of a system shows our reference on an object that we made there.
PLACES: Final[Mapping[str, str]] = {
    "stripe": "data.object.metadata.tieout_ref",
    "chargebee": "content.customer.meta_data.tieout_ref",
    "zendesk": "detail.external_id",
}
#: Of an event that only names its object: the object as it is read again, by its id and our reference.
SHOWN: Final[Mapping[str, Callable[[str, str], dict[str, Any]]]] = {
    "salesforce": lambda ident, ref: {
        "records": [
            {
                "Id": ident,
                "Name": "Initech",
                "TieoutKey__c": ref,
                "CreatedById": "005",
                "LastModifiedById": "005",
                "SystemModstamp": "2026-11-06T09:00:00.000+0000",
            }
        ]
    },
    "businesscentral": lambda ident, ref: {"id": ident, "number": ref, "displayName": "Initech"},
    "netsuite": lambda ident, ref: {"id": ident, "externalId": ref, "lastModifiedDate": "2026-11-20T18:02:44Z"},
}
#: Of a file: the file again, with our reference in the record's cell and its sums made anew.
FILED: Final[Mapping[str, Callable[[dict[str, Any], str], dict[str, Any]]]] = {
    "legacy": lambda event, ref: event | {"content": filed(event["content"], ref)},
}
#: What a payload needs beside a name before it can be built.
BARE: Final[Mapping[str, Mapping[str, Any]]] = {"legacy": {"net": 0, "tax": 0, "gross": 0}}
BOTH: Final = [name for name in systems.SOURCES if name in systems.TARGETS]


def filed(content: str, ref: str) -> str:
    """The file with one record whose customer has our reference."""
    head, line, tail = content.splitlines()
    cells = line.split(",")
    cells[4] = ref
    line = ",".join(cells)
    trailer = [*tail.split(",")[:3], hashlib.sha256(line.encode()).hexdigest()[:16]]
    return "\n".join([head, line, ",".join(trailer), ""])


def may_echo(system: str) -> list[Flow]:
    """Flows that begin at a system with objects of a kind that we write there as well.

    Not with their changes, where we only ever make them: what becomes of an object later is news.
    """
    actions = systems.target(system).actions
    written = {kind for kind, _ in actions}
    return [
        flow
        for flow in flows.FLOWS
        if flow.on.source == system and flow.makes in written and (not flow.known or (flow.makes, "upsert") in actions)
    ]


ECHOING: Final = [(system, flow) for system in BOTH for flow in may_echo(system)]


def of_ours(system: str, flow: Flow) -> dict[str, Any]:
    """The captured event as it would tell of an object that we had made."""
    event: dict[str, Any] = json.loads((EVENTS / system / f"{flow.on.type}.json").read_text())
    if system in SHOWN:
        return event
    if system in FILED:
        return FILED[system](event, systems.target(system).reference.of("customer/salesforce:acme:001"))
    *path, last = PLACES[system].split(".")
    here = event
    for name in path:
        if not isinstance(here.get(name), dict):
            here[name] = {}
        here = here[name]
    here[last] = systems.target(system).reference.of("customer/salesforce:acme:001")
    return event


def test_each_system_that_could_echo_has_its_place_and_none_is_listed_for_nothing() -> None:
    assert {system for system, _ in ECHOING} == set(PLACES) | set(SHOWN) | set(FILED)


@pytest.mark.parametrize(("system", "flow"), ECHOING, ids=lambda one: getattr(one, "name", one))
def test_what_we_write_carries_the_reference_that_the_source_reads(system: str, flow: Flow) -> None:
    target = systems.target(system)
    ref = target.reference.of("customer/salesforce:acme:001")
    member = PLACES[system].rpartition(".")[2] if system in PLACES else ""
    made = [action for kind, action in target.actions if kind == flow.makes and action in ("create", "upsert")]
    for action in made:
        sent = target.build(flow.makes, action, ref, {"name": "Initech", **BARE.get(system, {})}).decode()
        assert ref in sent
        assert member in sent
    assert made


@pytest.mark.parametrize(("system", "flow"), ECHOING, ids=lambda one: getattr(one, "name", one))
def test_the_echo_of_our_own_write_is_ignored_and_posts_nothing(system: str, flow: Flow) -> None:
    event = of_ours(system, flow)
    body = json.dumps(event).encode()
    source = systems.source(system)
    (read,) = source.read(body)
    if read.thin:
        ref = systems.target(system).reference.of("customer/salesforce:acme:001")
        read = systems.reader(system).again(always(200, SHOWN[system](read.object_id, ref)), read)
    assert read.ours
    envelope = {
        "v": 1, "source": system, "account": "acme", "received_at": "2026-11-20T12:00:00.000Z",
        "delivery": keys.delivery_id(system, "acme", body), "body_b64": base64.b64encode(body).decode(),
    }  # fmt: skip
    with stage() as on, patch.object(type(source), "read", lambda self, body: (read,)):
        assert intake.intake([Message("m1", envelope)], on.world.ports()) == []
        (item,) = (one for one in on.world.ledger.items.values() if one.get("what") == "event")
        assert (item["state"], item["code"]) == (ledger.IGNORED, "echo")
        assert on.postings() == []
        assert on.world.machines.started == {}
