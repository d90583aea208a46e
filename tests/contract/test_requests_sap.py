"""Every request to SAP against its own metadata (OData) and the schema of its WSDL (SOAP), both closed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree

import jsonschema
import pytest

from tests.contract.test_requests import CONTRACTS, load, request_of, requests
from tests.contract.xsd import Schema
from tieout import systems
from tieout.core.classify import Answer
from tieout.core.exchange import Request
from tieout.systems.sap import journal
from tieout.systems.sap.target import error_text

pytestmark = pytest.mark.skipif(
    not CONTRACTS.is_dir(), reason=f"no vendor contracts at {CONTRACTS}: set CONTRACTS_DIR to run these tests"
)
SAP = systems.target("sap")
FILES = {"API_BUSINESS_PARTNER": "business_partner", "API_SALES_ORDER_SRV": "sales_order",
         "API_GLACCOUNTLINEITEM": "gl_line_item"}  # fmt: skip
BODY = "{http://schemas.xmlsoap.org/soap/envelope/}Body"


@cache
def schema() -> Schema:
    return Schema(CONTRACTS / "sap" / "journal_xsd" / "schema0.xsd")


def mistakes(request: Request) -> list[str]:
    """What SAP's published descriptions say against a request."""
    if request.path == journal.PATH:
        return soap_mistakes(request)
    parts = request.path.partition("?")[0].split("/")
    if parts[:5] != ["", "sap", "opu", "odata", "sap"] or parts[5] not in FILES or len(parts) != 7:
        return [f"no {request.path}"]
    described = load(f"sap/{FILES[parts[5]]}.schema.json")
    entities = parts[6].partition("(")[0]
    if entities not in described["$defs"] or entities not in described["x-entity-sets"].values():
        return [f"no {entities} in {parts[5]}"]
    if request.method == "GET":
        return query_mistakes(request, described["$defs"][entities]["properties"])
    body = {"$ref": f"#/$defs/{entities}.write", "$defs": described["$defs"]}
    return [error.message for error in jsonschema.Draft202012Validator(body).iter_errors(json.loads(request.body))]


def query_mistakes(request: Request, fields: Mapping[str, Any]) -> list[str]:
    """What is asked for and does not exist: fields of the filter, what is expanded, system options."""
    asked = parse_qs(request.path.partition("?")[2])
    strange = [f"no option {name}" for name in asked if name not in ("$filter", "$expand")]
    terms = unquote(asked.get("$filter", [""])[0]).split(" and ")
    names = [term.partition(" eq ")[0] for term in terms] + asked.get("$expand", [])
    return strange + [f"no field {name}" for name in names if name not in fields]


def soap_mistakes(request: Request) -> list[str]:
    root = ElementTree.fromstring(request.body)
    body = root.find(BODY)
    if request.method != "POST" or body is None or len(body) != 1:
        return ["no SOAP body of one"]
    wsdl = (CONTRACTS / "sap" / "JOURNALENTRYCREATEREQUESTCONFI.wsdl").read_text("utf-8")
    action = request.headers.get("SOAPAction", "").strip('"')
    strange = [] if f'soapAction="{action}"' in wsdl else [f"no action {action}"]
    return strange + ([] if request.path in wsdl else [f"no address {request.path}"]) + schema().mistakes(body[0])


def test_every_request_is_one_that_sap_takes() -> None:
    seen = set()
    for name, kind, request, _ in requests("sap"):
        assert mistakes(request) == [], name
        seen.add((kind, request.path.rpartition("/")[2]))
    entry = journal.PATH.rpartition("/")[2]
    assert seen == {("customer", "A_BusinessPartner"), ("quote", "A_SalesOrder"), ("invoice", entry),
                    ("credit_note", entry), ("payment", entry), ("journal_entry", entry)}  # fmt: skip


def test_a_simulation_is_one_that_sap_takes_and_differs_in_one_word() -> None:
    for _, _, request, _ in requests("sap"):
        if request.path == journal.PATH:
            asked = request.body.replace(journal.REAL, journal.TEST)
            assert asked != request.body
            assert mistakes(Request(request.method, request.path, asked, request.headers)) == []


def item(**change: Any) -> dict[str, Any]:
    whole = {"GLAccount": "11001000", "AmountInTransactionCurrency": 544, "DebitCreditCode": "S"}
    return {"Item": {**whole, **change}, "DebtorItem": {"Debtor": "1", "AmountInTransactionCurrency": -544}}


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        ("customer", {"OrganizationBPName1": "x" * 41}),
        ("customer", {"LegalName": "Bluebird"}),
        ("customer", {"Address": {"Town": "Brooklyn"}}),
        ("customer", {"Company": {"CompanyCode": "17100"}}),
        ("quote", {"SalesOrderTyp": "OR"}),
        ("quote", {"SoldToParty": 17100001}),
        ("quote", {"to_Item": {"results": [{"RequestedQuantity": 5}]}}),
        ("payment", {"DocumentHeaderText": "x" * 26}),
        ("payment", {"CompanyCode": "17100"}),
        ("payment", {"PostingDate": "04.11.2026"}),
        ("payment", {"AccountingDocumentType": ""}),
        ("payment", {"currency": "USDX"}),
        ("payment", {"created": "2026-11-23 12:00"}),
        ("payment", item(GLAccount="11001000000")),
        ("payment", item(DebitCreditCode="Soll")),
        ("payment", item(DocumentItemText="x" * 51)),
        ("payment", item(TradingPartner="1234567")),
    ],
    ids=str,
)
def test_a_mistake_in_a_request_is_seen(kind: str, mistake: Mapping[str, Any]) -> None:
    good = next(payload for _, found, _, payload in requests("sap") if found == kind)
    action = "upsert" if kind == "customer" else "create"
    assert mistakes(request_of(SAP, kind, action, {**good, **mistake})) != []


def test_an_element_that_is_unknown_missing_or_out_of_order_is_seen() -> None:
    good = next(request for _, kind, request, _ in requests("sap") if kind == "payment")
    for old, new in (
        (b"<GLAccount>", b"<Account>x</Account><GLAccount>"),
        (b"<CreatedByUser>TIEOUT</CreatedByUser>", b""),
        (b"<Debtor>17100001</Debtor>", b""),
        (b"<CompanyCode>1710</CompanyCode><DocumentDate>", b"<DocumentDate>"),
        (b' currencyCode="USD"', b""),
        (b' currencyCode="USD"', b' currencyCode="USD" unit="1"'),
        (b"<BusinessTransactionType>RFBU</BusinessTransactionType>", b""),
        (b">544.38<", b">544,38<"),
    ):
        assert old in good.body, old
        changed = good.body.replace(old, new, 1)
        assert mistakes(Request(good.method, good.path, changed, good.headers)) != [], new
    assert mistakes(Request("POST", good.path, good.body, {"SOAPAction": "x"})) != []


def test_sap_s_own_sample_is_whole_by_the_same_check() -> None:
    body = (CONTRACTS / "sap" / "samples" / "journal_entry.create.request.xml").read_bytes()
    assert mistakes(Request("POST", journal.PATH, body, journal.HEADERS)) == []


def test_what_is_asked_for_exists() -> None:
    asked: list[Request] = []

    class Wire:
        account = "acme"
        settings: Mapping[str, str] = {}

        def call(self, method: str, path: str, *, headers: Any = None, body: bytes | None = None) -> Answer:
            asked.append(Request(method, path))
            return Answer(200, {}, b'{"d": {"results": []}}')

    from tests.unit.systems.test_target_laws import work

    for kind, action in SAP.actions:
        SAP.find(Wire(), work(SAP, kind, action))  # type: ignore[arg-type]
    SAP.look(Wire(), "customer", {"name": "Bluebird"})  # type: ignore[arg-type]
    assert {one.path.split("/")[5] for one in asked} == set(FILES)
    for one in asked:
        assert mistakes(one) == [], one
    assert mistakes(Request("GET", asked[0].path.replace("IDByExtSystem", "IDByExternalSystem"))) != []


def test_an_error_of_the_gateway_is_read() -> None:
    sample = load("sap/samples/odata_v2_error.json")
    answer = Answer(sample["status"], {}, json.dumps(sample["body"]).encode())
    assert error_text(answer) == "R1/144; Business partner SF001 already exists"
