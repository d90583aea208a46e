"""The legacy ERP behind its own SFTP server: chosen by the secret; what breaks leaves one document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.sandbox import Line
from infra.local.sftp import FolderDrop, SftpServer
from tests.e2e.scene import Scene, scene


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SftpServer]:
    for folder in ("out", "in"):
        (tmp_path / folder).mkdir()
    with SftpServer(tmp_path) as started:
        yield started


@pytest.fixture
def on(server: SftpServer) -> Iterator[Scene]:
    with scene(customer=False) as made:
        made.world.put_secret("legacy/acme", server.secret())
        made.sandboxes.drop = FolderDrop(server.root, "legacy/acme/")
        yield made


def bill(on: Scene) -> None:
    billing = on.sandboxes.stripe["acct_de"]
    buyer = billing.add_customer("Initrode", "ap@initrode.example")["id"]
    on.settle()
    billing.finalize_invoice(buyer, [Line(10_000, 1, "prod_pro", "Pro", tax_rate="txr_de_vat_19")])
    on.settle()


@pytest.mark.parametrize("trouble", ["", "drop_before", "commit_then_drop", "refuse"])
def test_an_invoice_goes_out_and_its_acknowledgement_comes_back_over_sftp(
    on: Scene, server: SftpServer, trouble: str
) -> None:
    server.trouble = [trouble, trouble]  # of the customer's file and of the invoice's
    bill(on)
    assert [one["state"] for one in on.postings("customer") + on.postings()] == ["POSTED", "POSTED"]
    book = [one for one in on.sandboxes.book("legacy", "acme") if one.kind == "invoice"]
    assert [(one.total_minor, one.currency) for one in book] == [(11_900, "EUR")]
    assert server.logins > 0
    left = [one.name for one in server.root.rglob("*") if one.is_file() and one.suffix == ".part"]
    # What a line that was lost before the rename leaves is never picked up; nobody is there to take it away.
    assert len(left) == (2 if trouble == "drop_before" else 0)
    assert on.differences() == []


def test_another_host_key_is_a_case_and_nothing_leaves(on: Scene, server: SftpServer, tmp_path: Path) -> None:
    with SftpServer(tmp_path / "out") as impostor:
        on.world.put_secret("legacy/acme", server.secret() | {"port": impostor.port})
        on.sandboxes.stripe["acct_de"].add_customer("Initrode", "ap@initrode.example")
        on.settle()
        [refused] = on.postings("customer")
        assert (refused["state"], refused["code"]) == ("REFUSED", "target_host_key")
        assert impostor.logins == 0
