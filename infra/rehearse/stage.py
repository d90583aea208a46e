"""The stage: the local world with a real Tryton behind it, what enters by the front door, and what can break.

Everything of ours is the product: the front door, the queues, the handlers, the ledger. Of the outside only Stripe's
account, the CRM and the clock are stood in for; the ERP is a server that can be killed.
"""

from __future__ import annotations

import io
import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx

from infra.local import story
from infra.local.sandbox import Sandboxes
from infra.local.sftp import FolderDrop, SftpServer
from infra.local.world import World
from infra.rehearse.billing import Billing
from infra.rehearse.installation import ENTITIES, account_of, write_tables
from infra.rehearse.server import Server
from tieout import mappings, systems, tables
from tieout.aws.http import HttpWire
from tieout.aws.ledger import decode
from tieout.contract import Work
from tieout.core import documents
from tieout.core.writes import Item
from tieout.work import render
from tieout.work.post import work_of

TARGET = systems.target("tryton")
#: The customer of every document.
BUYER = "Globex"
#: Longer than any quiet period, lease or visibility time-out; what waits for a person is not waited for.
PATIENCE = timedelta(minutes=40)
PER_MILLE = {"US01": 8_875, "UK01": 20_000}  # of a hundred thousand: Stripe's percentage with three decimals


class Checks:
    """What was looked at, said at once, and whether all of it held."""

    def __init__(self) -> None:
        self.done = self.failed = 0

    def __call__(self, sentence: str, shown: object, wanted: object) -> None:
        self.done += 1
        held = shown == wanted
        self.failed += not held
        print(f"  {'ok  ' if held else 'FAIL'} {sentence}" + ("" if held else f": {shown}, not {wanted}"), flush=True)


class Stage:
    """One world and one Tryton. ``send`` is Stripe, ``settle`` lets everything happen, the rest looks."""

    def __init__(
        self, world: World, server: Server, made: Mapping[str, Any], year: int, check: Checks, sftp: SftpServer
    ) -> None:
        self.world, self.server, self.made, self.check, self.sftp = world, server, made, check, sftp
        self.ledger = story.ledger_of(world)
        self.since = world.clock.now()
        self.accepted = 0
        self.billing = {
            entity: Billing(entity, stripe, currency, country, rate, PER_MILLE[entity], year, f"whsec_{entity}")
            for entity, (_, currency, _, country, stripe, rate) in ENTITIES.items()
        }
        self.wires = {
            entity: HttpWire(TARGET, account_of(entity), partial(self.secret, entity), lambda: datetime.now(UTC))
            for entity in ENTITIES
        }
        for entity, billing in self.billing.items():
            world.put_secret(f"tryton/{account_of(entity)}", self.secret(entity))
            self.sign(billing)

        world.put_secret("legacy/acme", sftp.secret(by_key=True))
        self.sandboxes.drop = FolderDrop(sftp.root, "legacy/acme/")

    def secret(self, entity: str) -> dict[str, Any]:
        """What the secret store holds for an entity's company."""
        company = str(self.made["companies"][entity]["company"])
        return {"base_url": self.server.base_url, "key": self.made["key"], "settings": {"company": company}}

    def sign(self, billing: Billing) -> None:
        """Let the front door know the secret that an account signs with."""
        there = self.sandboxes.secrets().get(f"stripe/{billing.account}", {})
        self.world.put_secret(f"stripe/{billing.account}", {**there, "webhook_secrets": [billing.secret]})

    @property
    def sandboxes(self) -> Sandboxes:
        """The outside systems that are stood in for."""
        assert isinstance(self.world.sandboxes, Sandboxes)
        return self.world.sandboxes

    # --- what happens ----------------------------------------------------------------------------------------------
    def send(self, entity: str, body: bytes) -> int:
        """Stripe delivers an event, signed now; the answer's status."""
        billing = self.billing[entity]
        headers = billing.signed(body, self.world.clock.now())
        with quiet():
            status = self.world.http("POST", f"/hooks/stripe/{billing.account}", headers, body).status
        self.accepted += 200 <= status < 300
        return status

    def pump(self) -> None:
        """What is ready happens; time stands still."""
        with quiet():
            self.world.pump()

    def settle(self) -> None:
        """Until nothing moves by itself any more."""
        with quiet():
            self.world.run(limit=PATIENCE)

    def happens(self, entity: str, *bodies: bytes) -> None:
        """Events arrive, and everything that follows from them happens."""
        for body in bodies:
            status = self.send(entity, body)
            if status != 200:
                raise AssertionError(f"the front door answers {status}")
        self.settle()

    @contextmanager
    def struck(self, where: str, nth: int, strike: Callable[[], None]) -> Iterator[list[str]]:
        """While it lasts, ``strike`` once, at the ``nth`` passage of a boundary (``after post http.POST:erp``)."""
        passed: list[str] = []
        hit: list[str] = []
        broken: list[Exception] = []

        def boundary(place: str) -> None:
            passed.extend([place] if place == where else [])
            if place != where or len(passed) != nth:
                return
            hit.append(place)
            try:
                strike()
            except httpx.TransportError:
                raise  # what a caller sees of a server that is gone
            except Exception as error:  # a mistake of the scene, which the product would take for one of the wire
                broken.append(error)

        self.world.boundary = boundary
        try:
            yield hit
        finally:
            self.world.boundary = None
        if broken:
            raise broken[0]

    # --- what is there ---------------------------------------------------------------------------------------------
    def items(self, what: str) -> list[Item]:
        """All ledger items of a sort."""
        pages = (
            self.world.client("dynamodb").get_paginator("scan").paginate(TableName=self.world.resources["Ledger"].ref)
        )
        found = [decode(item) for page in pages for item in page["Items"]]
        return [item for item in found if item.get("what") == what]

    def posting(self, kind: str, source_id: str, action: str = "") -> Item:
        """The posting of a document of a source; an empty one where there is none."""
        mine = [one for one in self.items("posting") if one["kind"] == kind and one["source_id"] == source_id]
        return next((one for one in mine if action in ("", one["action"])), {"state": "none"})

    def invoice(self, entity: str, name: str) -> Item:
        """The posting of an invoice."""
        return self.posting("invoice", self.billing[entity].id("in", name), "create")

    def work(self, item: Item) -> Work:
        """A posting that was claimed, as its target sees it."""
        return work_of(item, datetime.now(UTC))

    def unbooked(self, entity: str, kind: str, body: bytes) -> Work:
        """What post would send for an event, outside of our ledger."""
        [read], known = systems.source("stripe").read(body), tables.load()
        document = render.document(f"stripe.{kind}", read, "stripe", self.billing[entity].account)
        action = "upsert" if kind == "customer" else "create"
        ref = TARGET.reference.of(f"unbooked/{entity}/{read.object_id}")
        buyer = self.posting("customer", self.billing[entity].id("cus", BUYER))["remote"]
        mapping = mappings.load(TARGET.actions[kind, action].mapping or "", known.columns())
        view = known.view(read.occurred.date(), entity=entity, target="tryton")
        payload = mapping.render({"ref": ref, "customer": {"remote": buyer}, kind: document}, view)
        total = documents.total(document)
        return Work(
            ref, kind, action, ref, entity, account_of(entity), str(total.currency) if total else None,
            total.minor if total else None, TARGET.build(kind, action, ref, payload), datetime.now(UTC),
        )  # fmt: skip

    def rows(self, entity: str, model: str, domain: list[Any], *fields: str) -> list[dict[str, Any]]:
        """What Tryton holds, read without our target's words."""
        wanted = urlsafe_b64encode(json.dumps(domain).encode()).decode()
        path = f"/rest/model/{model}?d={wanted}&" + "&".join(f"f={name}" for name in fields)
        answer = self.wires[entity].call("GET", path)
        if answer.status != 200:
            raise AssertionError(f"{model}: HTTP {answer.status} {answer.body[:300]!r}")
        rows: list[dict[str, Any]] = json.loads(answer.body)
        return rows

    def check_numbers(self, entity: str) -> None:
        """Whether a company's invoice numbers run from one without a gap, and none is given twice.

        A number stays when its invoice is paid: what has one counts, in whatever state it is.
        """
        mine = [["company", "=", self.made["companies"][entity]["company"]]]
        rows = self.rows(entity, "account.invoice", mine, "number")
        numbers = sorted(int(row["number"].rpartition("-")[2]) for row in rows if row["number"])
        self.check(f"{len(numbers)} numbers without a gap, none twice", numbers, list(range(1, len(numbers) + 1)))

    def states(self, entity: str, item: Item) -> list[str]:
        """The states of what Tryton holds under a posting's reference, sorted."""
        rows = self.rows(entity, "account.invoice", [["reference", "=", item["ref"]]], "state")
        return sorted(str(row["state"]) for row in rows)


def drop_folder(folder: Path) -> Path:
    """The folder that the old ERP's SFTP server shows, with a place for either direction."""
    home = folder / "drop"
    for name in ("out", "in"):
        (home / name).mkdir(parents=True)
    return home


@contextmanager
def quiet() -> Iterator[None]:
    """The functions' own log lines, kept off the terminal."""
    with redirect_stdout(io.StringIO()):
        yield


@contextmanager
def staged(server: Server, made: Mapping[str, Any], year: int, folder: Path, check: Checks) -> Iterator[Stage]:
    """A world in which two entities keep their books in the Tryton that runs."""
    home = folder / "tables"
    home.mkdir()
    write_tables(home, made["companies"], year)
    with ExitStack() as stack:
        stack.enter_context(patch.object(tables, "load", partial(tables.load, home)))
        world = stack.enter_context(World(clock="jump", sandboxes=True, port=0))
        world.dues = story.dues(world)
        sftp = stack.enter_context(SftpServer(drop_folder(folder)))
        yield Stage(world, server, made, year, check, sftp)
