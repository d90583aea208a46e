"""The desk in a real browser: signing in, reading, moving by keyboard, and nothing going wrong on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import Visit
from tieout.core import ledger

pytestmark = pytest.mark.browser

AUDIT = Path(__file__).with_name("audit.js").read_text(encoding="utf-8")
SCHEMES = pytest.mark.parametrize("visit", ["light", "dark"], indirect=True)
PAGES = {
    "overview": "/desk",
    "postings": "/desk/postings",
    "events": "/desk/events",
    "cases": "/desk/cases",
    "runs": "/desk/runs",
    "tie": "/desk/tie",
    "search": "/desk/search?q=in_1ARIkaoL23jWwd2eIRTX5I6v",
    "event": "/desk/events/stripe%3Aacct_us%3Aevt_1LmaF6LCvLp8I7sdjB66BA3Q",
    "nothing": "/desk/nothing",
}


def focused(visit: Visit) -> str:
    return str(visit.page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))


def test_signing_in_leads_to_the_page_that_was_wanted(visit: Visit) -> None:
    visit.sign_in("vera", "/desk/cases")
    assert visit.page.get_by_role("heading", level=1).inner_text() == "Open cases"
    cookies = {one["name"]: one for one in visit.page.context.cookies()}
    assert set(cookies) == {"tieout"}
    assert (cookies["tieout"]["httpOnly"], cookies["tieout"]["sameSite"]) == (True, "Lax")
    assert visit.page.evaluate("document.cookie") == ""


@SCHEMES
def test_every_page_opens_without_an_error_and_can_be_read_by_everybody(visit: Visit) -> None:
    visit.sign_in()
    paths = PAGES | {
        state.lower(): visit.posting(state)
        for state in (ledger.POSTED, ledger.SENDING, ledger.IN_DOUBT, ledger.REFUSED, ledger.AMBIGUOUS, ledger.HELD)
    }
    dark = bool(visit.page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches"))
    if dark:  # the scheme changes colours only: one page of each make will show it
        paths = {name: paths[name] for name in ("overview", "events", "cases", "tie", "posted", "sending")}
    shots = set()
    for name, path in paths.items():
        status = visit.open(path).status
        assert status == (404 if name == "nothing" else 200), name
        if name == "nothing":
            visit.wrong.clear()  # Chromium notes every 404
        assert visit.page.evaluate(AUDIT) == [], name
        shots.add(visit.shot(f"{'dark' if dark else 'light'}-{name}"))
    assert visit.wrong == []
    assert len(shots) == len(paths)


def test_the_audit_notices_what_it_is_for(visit: Visit) -> None:
    """The audit itself is shown to fail: each of these faults must be named."""
    visit.sign_in()
    faults = """() => {
      document.querySelector('main').insertAdjacentHTML('beforeend', `
        <a href="#"></a> <input name="x"> <img src="data:,"> <h4>deep</h4> <p id="main" class="empty">x</p>
        <table><tr><th>x</th></tr></table>`);
      document.querySelector('.empty').style.color = 'rgb(190, 190, 190)';
      document.documentElement.lang = '';
      document.querySelector('h1').remove();
    }"""
    visit.page.evaluate(faults)
    said = " ".join(visit.page.evaluate(AUDIT))
    for fault in ("no name", "no label", "no alt", "no scope", "heading", "contrast", "id twice", "no language", "h1"):
        assert fault in said, fault


def test_a_page_fits_a_phone(visit: Visit) -> None:
    visit.sign_in()
    visit.page.set_viewport_size({"width": 390, "height": 800})
    for path in (*PAGES.values(), visit.posting(ledger.POSTED)):
        visit.open(path)
        wide = visit.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, path


def test_a_slash_goes_to_the_search_and_a_number_to_its_invoice(visit: Visit) -> None:
    visit.sign_in()
    visit.page.keyboard.press("/")
    assert focused(visit) == "search"
    visit.page.keyboard.type("inv-us-2001")
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_url("**/desk/postings/**")
    assert "ZBVITV2C-0001" in visit.page.get_by_role("heading", level=1).inner_text()
    assert "netsuite:acme has it as INV-US-2001" in visit.page.locator("main").inner_text()


def test_a_slash_in_a_field_is_a_slash(visit: Visit) -> None:
    visit.sign_in(to="/desk/postings")
    visit.page.locator("#f-q").click()
    visit.page.keyboard.type("a/b")
    assert visit.page.locator("#f-q").input_value() == "a/b"


def test_the_first_tab_offers_to_skip_to_the_content(visit: Visit) -> None:
    visit.sign_in()
    visit.page.keyboard.press("Tab")
    assert focused(visit) == "Skip to content"
    assert visit.page.locator(".skip").bounding_box()["x"] >= 0
    visit.page.keyboard.press("Enter")
    assert focused(visit) == "main"


def test_everything_is_reached_by_tab_and_is_seen_to_be(visit: Visit) -> None:
    visit.sign_in()
    reached = []
    for _ in range(60):
        visit.page.keyboard.press("Tab")
        seen = visit.page.evaluate(
            """() => {
              const one = document.activeElement, style = getComputedStyle(one);
              return [one.tagName, one.getAttribute('href') || one.id || '', style.outlineStyle, one === document.body];
            }"""
        )
        if seen[3]:
            break
        assert seen[2] != "none", seen
        reached.append(seen[1])
    for wanted in ("/desk/postings", "/desk/cases", "search", "/desk/tie", "/desk?days=31"):
        assert wanted in reached


def test_a_case_is_read_and_followed_with_the_keyboard_alone(visit: Visit) -> None:
    visit.sign_in(to="/desk/cases")
    link = visit.page.get_by_role("link", name="Invoice ZBVITV2C-0001C")
    link.focus()
    visit.page.keyboard.press("Enter")
    visit.page.wait_for_url("**/desk/postings/**")
    said = visit.page.locator(".status").inner_text()
    assert said.startswith("Tax txr_fr_20 has no tax code in legacy:acme. finance-ops has it. Next: Add the row")


def test_filters_are_kept_in_the_address(visit: Visit) -> None:
    visit.sign_in(to="/desk/postings")
    visit.page.get_by_label("Status").select_option("held")
    visit.page.get_by_role("button", name="Show").click()
    visit.page.wait_for_url("**state=held**")
    assert visit.page.locator("tbody tr").count() == 1
    assert visit.page.get_by_label("Status").input_value() == "held"


def test_a_payload_is_shown_as_text_to_who_may_see_it(visit: Visit) -> None:
    visit.sign_in("audrey", visit.posting(ledger.SENDING))
    assert "<script>alert(1)</script>" in visit.page.locator("pre").first.inner_text()
    assert visit.wrong == []


def test_a_viewer_sees_the_way_of_a_posting_and_not_its_content(visit: Visit) -> None:
    visit.sign_in("vera", visit.posting(ledger.SENDING))
    assert visit.page.locator(".timeline li").count() >= 3
    assert visit.page.locator("pre").count() == 0
    assert "shown to operators, approvers and auditors" in visit.page.locator("main").inner_text()


def test_signing_out_ends_the_session(visit: Visit) -> None:
    visit.sign_in()
    visit.page.locator(".who summary").click()
    visit.page.get_by_role("button", name="Sign out").click()
    visit.page.get_by_role("heading", name="You are signed out").wait_for()
    assert visit.page.context.cookies() == []
    assert visit.open("/desk").status == 401


def test_no_page_of_another_site_can_frame_the_desk_or_post_to_it(visit: Visit) -> None:
    visit.sign_in()
    visit.page.goto("about:blank")
    visit.page.set_content(f'<form method="post" action="{visit.address}/auth/logout"><button>x</button></form>')
    with visit.page.expect_navigation() as moved:
        visit.page.get_by_role("button").click()
    assert moved.value.status == 403
    assert visit.open("/desk").status == 200  # and the session goes on
    visit.page.goto("about:blank")
    visit.page.set_content(f'<iframe src="{visit.address}/auth/callback"></iframe>')
    visit.page.wait_for_timeout(300)
    assert visit.page.frames[1].url == "chrome-error://chromewebdata/"
