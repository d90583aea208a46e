"""Descriptions of fields are read in every vendor's form, and what differs from what we count on is named."""

from __future__ import annotations

import pytest

from tieout.core.checkup import shows
from tieout.core.classify import Answer
from tieout.core.described import Field, Reading, Sent, described, differences, sent_by

EDMX = b"""<?xml version="1.0"?><edmx:Edmx Version="1.0" xmlns:edmx="e" xmlns:sap="s"><edmx:DataServices>
<Schema Namespace="X" xmlns="d"><EntityType Name="Other"><Property Name="b" Type="Edm.String"/></EntityType>
<EntityType Name="A"><Property Name="a" Type="Edm.String" MaxLength="10" sap:updatable="false"/>
<Property Name="n" Type="Edm.Decimal" MaxLength="Max"/><NavigationProperty Name="to_B" Type="Collection(X.B)"/>
</EntityType></Schema></edmx:DataServices></edmx:Edmx>"""


def read(reading: Reading, body: bytes) -> dict[str, Field]:
    return described(reading, Answer(200, body=body))


KEYS = b"""{"properties": {
    "a": {"type": "string"}, "d": {"type": "string", "format": "date"}, "m": {"type": "string", "format": "email"},
    "x": {}
}}"""
ROWS = b"""{"fields": [
    {"name": "a", "type": "string", "length": 9, "nillable": true, "rights": {"write": true}},
    {"name": "b", "type": "double", "length": 0, "nillable": false}, {"label": "c"}, 1
]}"""


def test_an_object_of_fields_is_read_by_name_and_a_format_of_time_is_a_type_of_its_own() -> None:
    found = read(Reading("keys", ("properties",)), KEYS)
    assert {name: one.type for name, one in found.items()} == {"a": "string", "d": "date", "m": "string", "x": ""}


def test_rows_are_read_by_the_member_that_names_them_with_their_length_and_rights() -> None:
    required, writable = {"nillable": False}, {"rights.write": True}
    reading = Reading("rows", ("fields",), name="name", length="length", required=required, writable=writable)
    found = read(reading, ROWS)
    assert found == {"a": Field("string", 9), "b": Field("double", None, required=True, writable=False)}


def test_the_properties_of_one_entity_type_are_read_out_of_a_metadata_document() -> None:
    found = read(Reading("edmx", name="A", type="Type", length="MaxLength", writable={}), EDMX)
    assert found == {"a": Field("Edm.String", 10), "n": Field("Edm.Decimal"), "to_B": Field()}
    barred = Reading("edmx", name="A", type="Type", writable={"updatable": "true"})
    assert not read(barred, EDMX)["a"].writable


@pytest.mark.parametrize("body", [b"", b"<a", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', b"{}"])
def test_a_document_that_is_none_lists_nothing(body: bytes) -> None:
    assert read(Reading("edmx", name="A", type="Type"), body) == {}


@pytest.mark.parametrize("body", [b"null", b"{}", b'{"fields": {}}', b'{"fields": []}', b"[]", b'"x"'])
def test_an_answer_without_fields_lists_nothing(body: bytes) -> None:
    assert read(Reading("keys", ("fields",)), body) == {}
    assert read(Reading("rows", ("fields",), name="name"), body) == {}
    assert described(Reading(), Answer(200, body=b'{"a": 1}', truncated=True)) == {}


@pytest.mark.parametrize(
    ("wanted", "live", "said"),
    [
        ("string(10)", Field("string", 10), []),
        ("string(10)", Field("string", 11), []),
        ("string(10)", Field("string"), []),
        ("string(10)", Field(), []),
        ("", Field("number", 1), []),
        ("string(10)|picklist", Field("picklist", 5), []),
        ("string(10)", Field("string", 9), ["a takes 9 characters, not 10"]),
        ("string(10)|textarea(20)", Field("textarea", 19), ["a takes 19 characters, not 20"]),
        ("string(10)|picklist", Field("double"), ["a is double, not string(10)|picklist"]),
        ("string", Field("string", writable=False), ["a may not be written"]),
    ],
)
def test_a_field_differs_by_type_by_length_or_by_the_right_to_write_it(
    wanted: str, live: Field, said: list[str]
) -> None:
    assert differences({"a": wanted}, Sent(), {"a": live}) == said


def test_what_a_value_shows_is_compared_exactly_and_a_list_must_hold_it() -> None:
    assert shows(True, {"": True})
    assert not shows(1, {"": True})
    assert shows({"a": {"b": ["x", "y"]}}, {"a.b": "y"})
    assert not shows({"a": {"b": []}}, {"a.b": "y"})
    assert not shows({"a": "true"}, {"a": True})


def test_the_fields_that_rules_write_are_the_heads_below_a_part_of_the_payload() -> None:
    rules = [("id", False), ("item.items", False), ("item.items.*.rate", True), ("item.items.*.tax.id", False),
             ("item.items.*.tax.name", True)]  # fmt: skip
    assert sent_by(rules) == Sent(frozenset({"id", "item"}))
    assert sent_by(rules, "item.items") == Sent(frozenset({"tax"}), frozenset({"rate"}))
