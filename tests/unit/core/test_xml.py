"""The XML reader refuses what a document can attack with, and the writer says exactly what it was given."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tieout.core.xml import DEPTH_MOST, read_xml, write_xml


def test_a_document_is_read_without_its_namespaces_and_comments() -> None:
    root = read_xml(b'<a:x xmlns:a="u"><b>one</b><!-- no --><b> two </b><c><d><![CDATA[<&>]]></d></c></a:x>')
    assert (root.name, [one.text for one in root.all("b")]) == ("x", ["one", " two "])
    assert (root.value("b"), root.value("c", "d"), root.value("c", "e", "f")) == ("one", "<&>", "")
    assert [one.name for one in root.walk()] == ["x", "b", "b", "c", "d"]


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'
OUTSIDE = b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><x>&e;</x>'


@pytest.mark.parametrize(
    "bad",
    [
        BOMB,
        OUTSIDE,
        b'<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><x/>',
        b"<x>&undeclared;</x>",
        b"<x><y></x>",
        b"<x/><y/>",
        b"",
        b"plain",
        b"\xff\xfe<x/>",
        b"<x>\x00</x>",
        b"<x>" * (DEPTH_MOST + 1) + b"</x>" * (DEPTH_MOST + 1),
        b"<x>" * 100_000,
    ],
    ids=lambda bad: bad[:30],
)
def test_what_is_no_plain_document_is_a_value_error(bad: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_xml(bad)


def test_as_deep_as_is_allowed_is_read() -> None:
    assert len(list(read_xml(b"<x>" * DEPTH_MOST + b"</x>" * DEPTH_MOST).walk())) == DEPTH_MOST


def test_what_is_written_is_read_back_whatever_it_says() -> None:
    text = "<b>\"'&amp; \r\n\t ü 金 </b>"
    written = write_xml("x", {"b": text, "c": [Decimal("1E+3"), 2, True, None], 'd k="v"': Decimal("-0.10"), "e": {}})
    root = read_xml(written.encode())
    assert root.all("b")[0].text == text
    assert [one.text for one in root.all("c")] == ["1000", "2", "true"]
    assert root.value("d") == "-0.10"
    assert 'k="v"' in written


def test_a_float_and_a_character_that_xml_cannot_say_do_not_go_out() -> None:
    with pytest.raises(TypeError):
        write_xml("x", 0.1)
    with pytest.raises(ValueError, match="cannot say"):
        write_xml("x", "a\x0bb")
