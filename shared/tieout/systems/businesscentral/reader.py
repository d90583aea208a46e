"""Business Central, asked: the record that a notification names; and its subscriptions, renewed before they run out.

A subscription lives for three days. It is looked for by its resource and our address, made where it is not there, and
renewed when less than two days are left, so that several runs may fail before it is lost. Making and renewing shake
hands with our address while the call is open.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from tieout.contract import Budget, Quiet, Rate, Read, Wire
from tieout.core.classify import READING, Answer, Row
from tieout.core.clocks import EventInstant
from tieout.core.exchange import JSON, judge, member, read_answer
from tieout.core.parse import write_json
from tieout.core.verdicts import NeedsHuman, TryAgain, Uncertain, Verdict
from tieout.systems.businesscentral.source import COLLECTION, SOURCE

READ: Final = {"Accept": JSON}
#: Less than this many hours left, and a subscription is renewed.
RENEW: Final = timedelta(hours=48)
#: A number that our target gives to a customer.
OURS: Final = re.compile(r"TIE-[A-Z2-7]{16}")


class BusinessCentral:
    """Asks one company of one environment; holds nothing."""

    name = "businesscentral"
    auth: Mapping[str, str] = {
        "scheme": "oauth2_client_credentials",
        "token_path": "/oauth2/v2.0/token",
        "scope": "https://api.businesscentral.dynamics.com/.default",
    }
    quiet = Quiet(client_timeout=10, longest_processing=0, search_lag=0, clock_skew=1, period=0)
    budget = Budget(concurrency=5, rates=(Rate(6000, 300),))
    verdicts: Sequence[Row] = (
        Row(4, NeedsHuman, "source_gone", says="internal_recordnotfound"),
        Row(4, TryAgain, "target_down", says="internal_"),
        Row(409, TryAgain, "target_conflict"),
        Row(5, TryAgain, "target_down"),
        *READING,
    )

    def again(self, wire: Wire, read: Read) -> Read:
        """The record that a notification names. An older state than the notification's is not it yet."""
        company = _setting(wire, "company_id")
        told = str(read.object.get("resource", ""))
        if f"companies({company.lower()})" not in told.lower():
            raise NeedsHuman("source_unreadable", "another company", said="a record of another company")
        if read.object_id.startswith(COLLECTION):
            said = f"more than a thousand changes at once: {told[:300]}"
            raise NeedsHuman("source_unreadable", "a collection", said=said)
        path = SOURCE.rereads[read.type].format(id=quote(read.object_id, safe="-"))
        shown = self._object(wire.call("GET", f"/companies({company}){path}", headers=READ))
        if str(member(shown, "id")).lower() != read.object_id:
            raise NeedsHuman("source_unreadable", "another id", said=f"an object with the id {member(shown, 'id')}")
        version = _changed(shown)
        skew = self.quiet.clock_skew * 1000
        if version is not None and read.object_version is not None and version + skew < read.object_version:
            raise TryAgain("source_behind", f"shows {version}, the notification tells of {read.object_version}")
        number = shown.get("number")
        ours = number if isinstance(number, str) and OURS.fullmatch(number) else None
        return replace(read, object=shown, object_version=version or read.object_version, ours=ours, thin=False)

    def keep(self, wire: Wire, secret: str, now: datetime) -> Mapping[str, int]:
        """See the contract: one subscription for each entity set that is read again."""
        url, company = _setting(wire, "notification_url"), _setting(wire, "company_id")
        listed = member(self._object(wire.call("GET", "/subscriptions", headers=READ)), "value")
        rows = [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []
        done = {"subscriptions_good": 0, "subscriptions_renewed": 0, "subscriptions_made": 0}
        for entities in sorted({type_.partition(".")[0] for type_ in SOURCE.rereads}):
            resource = f"api/v2.0/companies({company})/{entities}"
            there = next((row for row in rows if _same(row, url, resource)), None)
            wanted = {"notificationUrl": url, "resource": f"/{resource}", "clientState": secret}
            if there is None:
                self._write(wire, "POST", "/subscriptions", wanted, {})
                done["subscriptions_made"] += 1
            elif _left(there, now) < RENEW or there.get("clientState") not in (None, "", secret):
                path = f"/subscriptions('{quote(str(there.get('subscriptionId')), safe='')}')"
                self._write(wire, "PATCH", path, wanted, {"If-Match": str(there.get("@odata.etag") or "*")})
                done["subscriptions_renewed"] += 1
            else:
                done["subscriptions_good"] += 1
        return done

    def _write(self, wire: Wire, method: str, path: str, body: Mapping[str, Any], more: Mapping[str, str]) -> None:
        headers = {"Content-Type": JSON, **READ, **more}
        self._object(wire.call(method, path, headers=headers, body=write_json(body)))

    def _object(self, answer: Answer) -> Mapping[str, Any]:
        try:
            shown = read_answer(answer)
        except Uncertain as unclear:
            judge(self.verdicts, answer, "")
            raise TryAgain("target_unclear", unclear.log, **unclear.facts) from unclear
        code, message = member(shown, "error", "code"), member(shown, "error", "message")
        judge(self.verdicts, answer, f"{code or ''} {message or ''}".strip())
        if not isinstance(shown, Mapping) or "error" in shown:
            raise NeedsHuman("source_unreadable", "no object", said="no object")
        return shown


def _same(row: Mapping[str, Any], url: str, resource: str) -> bool:
    return row.get("notificationUrl") == url and str(row.get("resource", "")).lstrip("/").lower() == resource.lower()


def _left(row: Mapping[str, Any], now: datetime) -> timedelta:
    """How long a subscription still lives; nothing where it does not say."""
    try:
        return EventInstant.parse(str(row.get("expirationDateTime"))).value - now
    except Verdict:
        return timedelta(0)


def _setting(wire: Wire, name: str) -> str:
    value = wire.settings.get(name, "")
    if not value:
        raise TryAgain("target_credentials", f"the account's settings have no {name}", after=60)
    return value


def _changed(shown: Mapping[str, Any]) -> int | None:
    """When the record was changed last, in milliseconds; ``None`` where it does not say."""
    try:
        return int(EventInstant.parse(str(shown["lastModifiedDateTime"])).value.timestamp() * 1000)
    except (KeyError, Verdict):
        return None


READER = BusinessCentral()
