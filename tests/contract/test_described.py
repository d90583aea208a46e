"""What the sandboxes describe of fields is what the vendors publish of them, and so is what our checks count on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from infra.local.sandbox.described import BUSINESS_CENTRAL, SAP
from tests.contract.test_requests import CONTRACTS
from tieout import systems
from tieout.core.classify import Answer
from tieout.core.described import Field, Reading, described, differences
from tieout.work import checkup

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason=f"no vendor contracts at {CONTRACTS}: set CONTRACTS_DIR to run these tests"
)
#: Business Central's published types, in the words of its ``$metadata``.
WORDS = {"string": {"Edm.String", "Edm.Guid", "Edm.Date"}, "number": {"Edm.Decimal"}, "boolean": {"Edm.Boolean"}}


def published(service: str, entity: str) -> dict[str, Field]:
    body = (CONTRACTS / f"sap/{service}.edmx").read_bytes()
    return described(Reading("edmx", name=entity, type="Type", length="MaxLength"), Answer(200, body=body))


@pytest.mark.parametrize(("service", "entity"), [(name, one) for name, types in SAP.items() for one in types])
def test_the_sandbox_of_sap_describes_its_types_as_sap_publishes_them(service: str, entity: str) -> None:
    known = published(service, entity)
    properties, ways = SAP[service][entity]
    for name, (kind, length) in properties.items():
        assert (known[name].type, known[name].length or 0) == (kind, length), name
    assert set(ways) <= set(known)


def test_what_we_count_on_of_sap_is_what_it_publishes() -> None:
    declared = systems.checks("sap")
    assert declared is not None
    for one in declared.metadata:
        known = published(one.path.split("/")[-2], one.reading.name)
        sent = checkup.written(systems.target("sap"), one)
        assert [said for said in differences(one.fields, sent, known) if not any(s in said for s in one.skip)] == []


@pytest.mark.parametrize("entity", sorted(BUSINESS_CENTRAL))
def test_the_sandbox_of_business_central_describes_fields_that_its_guide_knows(entity: str) -> None:
    text = (CONTRACTS / "business-central/openapi.v2.0.derived.json").read_text("utf-8")
    guide: dict[str, Any] = json.loads(text)["components"]["schemas"][entity]["properties"]
    for name, (kind, _) in BUSINESS_CENTRAL[entity][0].items():
        assert name in guide, name
        if kind.startswith("Edm."):
            assert kind in WORDS[guide[name]["type"]], name
