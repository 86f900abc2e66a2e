"""
Every page of the back office, in each theme, at both sizes, light and dark.

What a person would see at once is measured: what hangs over or is cut, text in a column of letters, buttons that look
like text, fields without borders, text that is too faint. Screenshots go into the folder that SCREENSHOTS names.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.demo import Demo
from tests.themes.conftest import logged_in
from tests.themes.optional import make_rows

LIST = "/admin/paiementpro/payment/"

#: Where our pages are, by what the sales of the demonstration contain.
PAGES = [
    *("index", "app", "list", "queue", "nothing", "paid", "flagged", "refunded", "waiting", "history"),
    *("review", "refund", "refund-refused", "confirm", "check", "redeliver", "replay", "takings"),
    *("links", "link-new", "link", "link-switch", "links-import", "links-imported", "receipts", "receipt"),
    *("statements", "statement-new", "statement-columns", "statement", "statement-theirs", "statement-amount"),
    *("endpoints", "endpoint-new", "endpoint", "deliveries", "delivery"),
]

LOOK = """() => {
  const rgba = (text) => {
    const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d");
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = ([r, g, b, a], below) => [r, g, b].map((part, i) => part * a + below[i] * (1 - a));
  const ground = (element) => {
    if (!element) { return [255, 255, 255]; }
    const color = rgba(getComputedStyle(element).backgroundColor);
    return color[3] === 1 ? color.slice(0, 3) : over(color, ground(element.parentElement));
  };
  const light = (color) => {
    const linear = (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = color.map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const both = [light(one), light(other)];
    return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
  };
  const contrast = (element) => {
    const below = ground(element);
    return ratio(below, over(rgba(getComputedStyle(element).color), below));
  };
  const seen = (selector) => [...document.querySelectorAll(selector)].filter((element) => element.checkVisibility()
    && element.getBoundingClientRect().width > 1);
  const html = (element) => element.outerHTML.slice(0, 160);
  const root = document.documentElement;

  // Ours: what our templates write, and the list.
  const names = ["page", "summary", "box", "refunds", "timeline", "queue", "today"];
  const places = ["#result_list", ...names.map((name) => `.pp-${name}`)];
  const hasText = (element) =>
    [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
  const ours = seen(places.map((place) => `${place} *`).join(", "))
    .filter((element) => element instanceof HTMLElement && hasText(element));

  const lines = (element) => {
    const range = document.createRange();
    range.selectNodeContents(element);
    const tops = new Set([...range.getClientRects()].map((rect) => Math.round(rect.top)));
    return tops.size;
  };
  const letters = ours.filter((element) => {
    const text = element.innerText.trim();
    return text.length > 8 && !element.querySelector("*") && lines(element) > text.length / 3;
  });

  // What stands beyond the right edge of the screen, and of the boxes around it that cut it off.
  const cut = ours.filter((element) => {
    const own = element.getBoundingClientRect();
    if (own.right > root.clientWidth + 1 && !element.closest(".pp-scroll, .daybook-scroll")) { return true; }
    for (let box = element; box && box !== document.body; box = box.parentElement) {
      const style = getComputedStyle(box);
      if (style.textOverflow === "ellipsis" || box.matches(".pp-scroll, .daybook-scroll")) { return false; }
      if (style.overflowX !== "visible" && own.right > box.getBoundingClientRect().right + 1) { return true; }
    }
    return element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX !== "visible"
      && element.clientWidth > 0;
  });
  // An input of an amount shows all of it. Browsers cut the name of a file themselves.
  const narrow = seen(".pp-form input:not([type=hidden], [type=file])")
    .filter((input) => input.scrollWidth > input.clientWidth + 1);

  const edge = (element) => {
    const style = getComputedStyle(element);
    const inside = over(rgba(style.backgroundColor), ground(element.parentElement));
    const around = ground(element.parentElement);
    const line = over(rgba(style.borderTopColor), around);
    return (parseFloat(style.borderTopWidth) >= 1 && style.borderTopStyle !== "none" && ratio(line, around) > 1.1)
      || ratio(inside, around) > 1.25;
  };
  const controls = ":is(input:not([type=hidden], [type=checkbox]), select, textarea)";
  const fields = [`.pp-form ${controls}`, ".pp-link input", `.daybook-form ${controls}`];
  const bare = seen(fields.join(", ")).filter((element) => !edge(element));
  const flat = seen(".pp-button").filter((element) => {
    const rect = element.getBoundingClientRect();
    return !edge(element) || rect.height < 28 || getComputedStyle(element).textDecorationLine === "underline";
  });
  const covered = seen(".pp-form input[type=submit], .pp-actions .pp-button").filter((element) => {
    element.scrollIntoView({block: "center", behavior: "instant"});
    const rect = element.getBoundingClientRect();
    return !element.contains(document.elementFromPoint(rect.x + rect.width / 2, rect.y + rect.height / 2));
  });
  // Jazzmin's asterisks have its own red, unfold's symbols of a sorted column their own grey, grappelli's links and
  // headings their own colours too.
  const others = "option, script, style, [aria-hidden=true] *, .text-red, .material-symbols-outlined, "
    + ".grp-container :is(a:not([class]), a:not([class]) *, thead *, label, .grp-row *)";
  const faint = ours.filter((element) => !element.matches(others)
    && contrast(element) < 4);
  const tiny = ours.filter((element) => parseFloat(getComputedStyle(element).fontSize) < 10.9
    && !element.closest(".helptext, .help, .grp-help"));
  scrollTo(0, 0);
  return {
    overhang: Math.max(0, root.scrollWidth - root.clientWidth),
    letters: letters.map(html), cut: cut.map(html), narrow: narrow.map(html), bare: bare.map(html),
    flat: flat.map(html), covered: covered.map(html), tiny: tiny.map(html),
    faint: faint.map((element) => contrast(element).toFixed(1) + " " + html(element)),
  };
}"""


def one(shop: Demo, sql: str) -> Any:
    return shop.execute(sql)[0]


@pytest.fixture(scope="module")
def addresses(shop: Demo, browser: Browser) -> dict[str, str]:
    office = logged_in(browser, shop, "desk", "light")
    others = make_rows(shop, office)
    office.close()
    flagged = one(
        shop,
        "SELECT payment_id FROM paiementpro_finding WHERE reviewed_at IS NULL AND reason = 'paid_twice' "
        "ORDER BY id DESC",
    )
    refunded = one(
        shop,
        "SELECT payment_id FROM paiementpro_refund r JOIN paiementpro_payment p ON p.id = r.payment_id "
        "WHERE p.status = 'succeeded' ORDER BY r.id DESC",
    )
    waiting = one(shop, "SELECT id FROM paiementpro_payment WHERE status = 'pending' ORDER BY id DESC")
    paid = one(shop, "SELECT id FROM paiementpro_payment WHERE status = 'succeeded' ORDER BY id DESC")
    event = one(
        shop,
        f"SELECT id FROM paiementpro_paymentevent WHERE kind = 'notification' AND payment_id = {flagged} ORDER BY id",
    )
    # A long name, and an amount as wide as amounts get.
    shop.execute(
        "UPDATE paiementpro_payment SET customer_last_name = 'Ouédraogo-N’Guessan Kouadiobouenan', amount = 12500000 "
        "WHERE id = ?",
        paid,
    )
    return {
        "index": "/admin/",
        "app": "/admin/paiementpro/",
        "list": LIST,
        "queue": f"{LIST}?review=1",
        "nothing": f"{LIST}?q=zoe@example.net&status=succeeded",
        "paid": f"{LIST}{paid}/change/",
        "flagged": f"{LIST}{flagged}/change/",
        "refunded": f"{LIST}{refunded}/change/",
        "waiting": f"{LIST}{waiting}/change/",
        "history": f"{LIST}{flagged}/history/",
        "review": f"{LIST}{flagged}/review/",
        "refund": f"{LIST}{paid}/refund/",
        "refund-refused": f"{LIST}{refunded}/refund/",
        "confirm": f"{LIST}{waiting}/confirm/",
        "check": f"{LIST}{waiting}/check/",
        "redeliver": f"{LIST}{paid}/redeliver/",
        "replay": f"{LIST}{flagged}/events/{event}/replay/",
        "takings": f"{LIST}takings/",
        **others,
    }


def opened(context: BrowserContext) -> Iterator[Page]:
    page = context.new_page()
    troubles: list[str] = []
    page.on("response", lambda answer: troubles.append(answer.url) if answer.status >= 500 else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    yield page
    page.close()
    assert troubles == []


@pytest.fixture
def seen(office: BrowserContext) -> Iterator[Page]:
    yield from opened(office)


@pytest.fixture
def page(counter: BrowserContext) -> Iterator[Page]:
    yield from opened(counter)


@pytest.mark.parametrize("name", PAGES)
def test_page_looks_right(
    name: str, theme: str, look: tuple[str, str], seen: Page, addresses: dict[str, str], shots: Path
) -> None:
    page = seen
    answer = page.goto(addresses[name])
    assert answer is not None
    assert answer.status == 200
    if name == "refund-refused":
        page.locator("[name=amount]").fill("1000000")
        page.locator(".pp-form [type=submit]").click()
        expect(page.locator(".pp-form .errorlist, .pp-form .errornote").first).to_be_visible()
    page.wait_for_load_state()
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(250)  # for what fades in
    page.screenshot(path=shots / f"{name}-{theme}-{'-'.join(look)}.png", full_page=True, animations="disabled")
    assert {name: found for name, found in page.evaluate(LOOK).items() if found} == {}


def test_customer_and_dates_of_every_row_are_in_sight(page: Page, addresses: dict[str, str]) -> None:
    page.goto(addresses["list"])
    width = page.evaluate("innerWidth")
    for field in ("customer", "created", "amount_display", "badge"):
        for cell in page.locator(f"#result_list tbody .field-{field}").all()[:5]:
            box = cell.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width


def test_list_fits_any_screen(page: Page, addresses: dict[str, str]) -> None:
    page.goto(addresses["list"])
    for width in (320, 360, 412, 768, 1024, 1280, 1366, 1440, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        look = page.evaluate(LOOK)
        assert {name: look[name] for name in ("cut", "letters")} == {"cut": [], "letters": []}, width
        hidden = page.evaluate(
            "[...document.querySelectorAll('.pp-list :has(> #result_list)')].map((e) => e.scrollWidth - e.clientWidth)"
        )
        assert max(hidden) <= 1, width


def opens_filters(page: Page, theme: str) -> None:
    if theme.startswith("unfold"):
        page.get_by_text("Filtres").first.click()
    elif theme == "grappelli":
        page.locator(".grp-pulldown-handler").click()
    elif theme == "jazzmin":
        page.locator(".pp-filter summary").first.click()


def test_filters_with_inputs_keep_the_others(theme: str, page: Page, addresses: dict[str, str]) -> None:
    page.goto(f"{addresses['list']}?status=succeeded")
    opens_filters(page, theme)
    page.locator(".pp-filter [name=from][type=date]").fill("2020-01-31")
    page.locator(".pp-filter [type=submit]").first.click()
    page.wait_for_url("**from=2020-01-31**")
    assert "status=succeeded" in page.url
    expect(page.locator("#result_list tbody tr").first).to_be_visible()
    if theme == "jazzmin":
        # Its search is one form with the filters.
        page.locator("#changelist-search > [type=submit]").click()
        page.wait_for_load_state()
        assert "from=2020-01-31" in page.url
        assert "status=succeeded" in page.url


def test_staff_act_in_every_theme(page: Page, shop: Demo, addresses: dict[str, str]) -> None:
    page.goto(addresses["refunded"])
    acts = "SELECT COUNT(*) FROM paiementpro_refund"
    before = one(shop, acts)
    page.locator(".pp-actions .pp-button", has_text="Noter un remboursement").click()
    page.locator("[name=amount]").fill("1")
    page.locator("[name=reference]").fill("RB-1")
    page.locator("[name=reason]").fill("Un flacon cassé")
    page.locator(".pp-form [type=submit]").click()
    expect(page.locator(".pp-refunds")).to_contain_text("RB-1")
    assert one(shop, acts) == before + 1


def test_payment_prints_without_what_can_be_clicked(page: Page, addresses: dict[str, str]) -> None:
    page.goto(addresses["flagged"])
    page.emulate_media(media="print")
    expect(page.locator(".pp-known")).to_be_visible()
    expect(page.locator(".pp-timeline li").first).to_be_visible()
    for gone in (".pp-actions", ".pp-replay", ".pp-more"):
        assert not any(element.is_visible() for element in page.locator(gone).all())
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
