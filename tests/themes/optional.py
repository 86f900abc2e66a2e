"""Something on each page of links, receipts, statements and webhooks, made as the shop's staff make it."""

from playwright.sync_api import BrowserContext, Page

from tests.browser.demo import Demo

LINKS = "/admin/paiementpro_links/paymentlink/"
RECEIPTS = "/admin/paiementpro_receipts/receipt/"
STATEMENTS = "/admin/paiementpro/statement/"
ENDPOINTS = "/admin/paiementpro_webhooks/endpoint/"
DELIVERIES = "/admin/paiementpro_webhooks/delivery/"

STUDENTS = "Nom;Téléphone;Montant\nAwa Koné;0707123456;45 000\nYao Kouassi;;32.500 F\n"

# A receipt of the newest success, and a webhook about it that does not arrive.
CODE = """
from django_paiementpro.models import Payment
from django_paiementpro.receipts.issuing import issue_receipt
from django_paiementpro.webhooks.models import Endpoint
from django_paiementpro.webhooks.receivers import record
payment = Payment.objects.filter(status="succeeded").latest("pk")
endpoint = Endpoint.objects.create(url="https://hooks.invalid/paiements/" + "x" * 60, description="Comptabilité")
record("payment_succeeded", payment, payment.events.latest("pk"))
print(issue_receipt(payment).pk, endpoint.pk, endpoint.deliveries.get().pk)
"""


def make_rows(shop: Demo, office: BrowserContext) -> dict[str, str]:
    """Return the addresses of the pages, by name."""
    page = office.new_page()
    link = _make_link(page)
    imported = _import_links(page)
    columns, statement = _import_statement(shop, page)
    receipt, endpoint, delivery = shop.shell(CODE).split()
    page.close()
    return {
        "links": LINKS,
        "link-new": f"{LINKS}add/",
        "link": link,
        "link-switch": link.replace("/change/", "/switch/"),
        "links-import": f"{LINKS}import/",
        "links-imported": imported,
        "receipts": RECEIPTS,
        "receipt": f"{RECEIPTS}{receipt}/change/",
        "statements": STATEMENTS,
        "statement-new": f"{STATEMENTS}add/",
        "statement-columns": columns,
        "statement": statement,
        "statement-theirs": f"{statement}?list=theirs",
        "statement-amount": f"{statement}?list=amount",
        "endpoints": ENDPOINTS,
        "endpoint-new": f"{ENDPOINTS}add/",
        "endpoint": f"{ENDPOINTS}{endpoint}/change/",
        "deliveries": DELIVERIES,
        "delivery": f"{DELIVERIES}{delivery}/change/",
    }


def _make_link(page: Page) -> str:
    page.goto(f"{LINKS}add/")
    page.locator("[name=title]").fill("Frais de scolarité 2026-2027, premier trimestre, classe de CM2")
    page.locator("[name=amount]").fill("45 000")
    page.locator("[name=customer_name]").fill("Ouédraogo-N’Guessan Kouadiobouenan")
    page.locator("[name=_save]").click()
    page.wait_for_url("**/change/**")
    return page.url.partition("?")[0]


def _import_links(page: Page) -> str:
    page.goto(f"{LINKS}import/")
    page.locator("[name=title]").fill("Cotisation")
    _choose(page, STUDENTS)
    page.locator(".pp-form [type=submit]").first.click()
    page.locator("[name=rows]").first.wait_for(state="attached")
    page.locator(".pp-form [type=submit]").first.click()
    page.wait_for_url("**/imports/**")
    return page.url


def _import_statement(shop: Demo, page: Page) -> tuple[str, str]:
    """Return the addresses of the columns of one file, and of the lists of another, with differences of every kind."""
    sold = shop.execute(
        "SELECT reference, gateway_id, amount, settled_at FROM paiementpro_payment "
        "WHERE status = 'succeeded' ORDER BY id DESC LIMIT 3"
    )
    [(pending, asked)] = shop.execute(
        "SELECT reference, amount FROM paiementpro_payment WHERE status = 'pending' ORDER BY id DESC LIMIT 1"
    )
    day = sold[0][3][:10]
    lines = [f"{day} 12:00;{key};{reference};{amount};Payé" for reference, key, amount, _at in sold[:2]]
    lines += [
        f"{day} 12:00;{sold[2][1]};{sold[2][0]};{sold[2][2] + 500};Payé",
        f"{day} 13:00;CI9001;{pending};{asked};Payé",
        f"{day} 14:00;CI9002;inconnue-9002;7500;Payé",
        f"{day} 15:00;CI9003;illisible;abc;Payé",
    ]
    table = "\n".join(["Date;Transaction;Référence;Montant;Statut", *lines])
    _upload(page, table)
    page.locator(".pp-form [name=preview]").wait_for()
    columns = page.url
    _upload(page, table)
    page.locator(".pp-form .default[type=submit]").click()
    page.locator(".pp-tabs").wait_for()
    return columns, page.url.partition("?")[0]


def _upload(page: Page, table: str) -> None:
    page.goto(f"{STATEMENTS}add/")
    _choose(page, table)
    page.locator(".pp-form [type=submit]").first.click()
    page.wait_for_url("**/columns/**")


def _choose(page: Page, table: str) -> None:
    page.locator("[name=file]").set_input_files({"name": "liste.csv", "mimeType": "text/csv", "buffer": table.encode()})
