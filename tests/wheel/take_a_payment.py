"""
Install the built wheel into a fresh environment, begin a new Django project there, and take a payment with it.

    python tests/wheel/take_a_payment.py dist/*.whl

What the project gets is what README.rst tells a host to write, and the sandbox. A shopper then goes over a real socket
from the shop to the gateway's page, pays, and comes back; the order must be paid, by the signal. Standard library only.
"""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlencode, urljoin
from urllib.request import HTTPCookieProcessor, OpenerDirector, ProxyHandler, build_opener

PACKAGE = Path(__file__).resolve().parents[2] / "django_paiementpro"

SETTINGS = """
INSTALLED_APPS += ["django_paiementpro", "django_paiementpro.sandbox", "shop"]
PAIEMENTPRO_MERCHANT_ID = "PP-F324"
PAIEMENTPRO_GATEWAY_URL = "http://127.0.0.1:{port}/sandbox"
"""

URLS = """
from django.urls import include
from shop import views

urlpatterns += [
    path("paiementpro/", include("django_paiementpro.urls")),
    path("sandbox/", include("django_paiementpro.sandbox.urls")),
    path("orders/<int:pk>/", views.show),
    path("orders/<int:pk>/pay/", views.pay),
]
"""

MODELS = """
from django.db import models
from django.dispatch import receiver

from django_paiementpro.signals import payment_succeeded


class Order(models.Model):
    total = models.PositiveIntegerField(default=12500)
    paid = models.PositiveIntegerField(default=0)

    def mark_paid(self):
        self.paid += 1
        self.save()


@receiver(payment_succeeded)
def fulfil(sender, payment, **kwargs):
    payment.content_object.mark_paid()
"""

VIEWS = """
from django.http import JsonResponse
from django.shortcuts import get_object_or_404, redirect

from django_paiementpro.models import Payment
from shop.models import Order


def show(request, pk):
    return JsonResponse({"paid": get_object_or_404(Order, pk=pk).paid})


def pay(request, pk):
    order = get_object_or_404(Order, pk=pk)
    payment = Payment.objects.create(
        content_object=order,
        amount=order.total,
        description=f"Order {order.pk}",
        customer_email="awa@example.com",
        customer_first_name="Awa",
        customer_last_name="Koné",
        customer_phone="07 07 12 34 56",
    )
    return redirect(payment.get_checkout_url())
"""


MISSING = """
try:
    import django_paiementpro.testing
except ImportError as error:
    print(error)
"""


class Form(HTMLParser):
    """The first form of a page that is posted: its fields as a browser would send them, its buttons apart."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self.buttons: set[tuple[str, str]] = set()
        self._is_inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        name, value = values.get("name", ""), values.get("value", "")
        if tag == "form":
            self._is_inside = self.action is None and values.get("method", "").lower() == "post"
            if self._is_inside:
                self.action = values.get("action", "")
        elif self._is_inside and tag == "button":
            self.buttons.add((name, value))
        elif self._is_inside and tag == "input" and (values.get("type") != "radio" or "checked" in values):
            self.fields[name] = value

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._is_inside = False


def main(wheel: str) -> None:
    check_contents(Path(wheel))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        python = install(Path(wheel), folder / "venv")
        port = free_port()
        begin_project(python, folder / "project", port)
        check_extra(python, folder / "project")
        with serve(python, folder / "project", port) as site:
            take_payment(site)
        run(python, "manage.py", "paiementpro_reconcile", cwd=folder / "project")
    print("The wheel is whole, and took a payment.")


def check_contents(wheel: Path) -> None:
    """The wheel holds all of the package's folder, and nothing else."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    require(names == sources, f"the wheel and the package's folder differ: {sorted(names ^ sources)}")
    for wanted in ("py.typed", ".html", ".mo"):
        require(any(name.endswith(wanted) for name in names), f"the wheel has no {wanted}")


def install(wheel: Path, folder: Path) -> Path:
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel.resolve(), cwd=folder)
    return python


def begin_project(python: Path, folder: Path, port: int) -> None:
    folder.mkdir()
    run(python, "-m", "django", "startproject", "project", ".", cwd=folder)
    run(python, "manage.py", "startapp", "shop", cwd=folder)
    append(folder / "project" / "settings.py", SETTINGS.format(port=port))
    append(folder / "project" / "urls.py", URLS)
    (folder / "shop" / "models.py").write_text(MODELS, encoding="utf-8")
    (folder / "shop" / "views.py").write_text(VIEWS, encoding="utf-8")
    run(python, "manage.py", "makemigrations", cwd=folder)
    run(python, "manage.py", "migrate", cwd=folder)
    run(python, "manage.py", "check", "--fail-level", "WARNING", cwd=folder)
    run(python, "manage.py", "shell", "-c", "from shop.models import Order; Order.objects.create()", cwd=folder)
    place = run(python, "-c", "import django_paiementpro; print(django_paiementpro.__file__)", cwd=folder)
    require("site-packages" in place, f"not the installed package: {place}")


def check_extra(python: Path, folder: Path) -> None:
    """What only tests need is not there, and its place says how to get it."""
    complaint = run(python, "manage.py", "shell", "-c", MISSING, cwd=folder)
    require('pip install "django-paiementpro[testing]"' in complaint, f"no word of the extra: {complaint}")


@contextlib.contextmanager
def serve(python: Path, folder: Path, port: int) -> Iterator[str]:
    """Run the project's server, and show what it said where the payment fails."""
    log = folder / "server.log"
    site = f"http://127.0.0.1:{port}"
    with log.open("w") as output:
        command = [python, "manage.py", "runserver", "--noreload", f"127.0.0.1:{port}"]
        server = subprocess.Popen(command, cwd=folder, env=environment(), stdout=output, stderr=output)
    try:
        for _ in range(600):
            with contextlib.suppress(URLError):
                shopper().open(f"{site}/orders/1/")
                break
            require(server.poll() is None, "the server did not start")
            time.sleep(0.1)
        yield site
    except BaseException:
        print(log.read_text(), file=sys.stderr)
        raise
    finally:
        server.terminate()
        server.wait(60)


def take_payment(site: str) -> None:
    browser = shopper()
    require(paid(browser, site) == '{"paid": 0}', "the order was paid before it was paid")
    with browser.open(f"{site}/orders/1/pay/") as response:
        url, page = response.url, response.read().decode()
    require(url.startswith(f"{site}/sandbox/sandbox.php?sessionid="), f"checkout led to {url}")
    form = Form(page)
    require(("way", "pay") in form.buttons, f"the gateway's page has no button to pay: {sorted(form.buttons)}")
    data = urlencode(form.fields | {"way": "pay"}).encode()
    with browser.open(urljoin(url, form.action), data) as response:
        require("/paiementpro/return/" in response.url, f"the gateway sent the payer to {response.url}")
    for _ in range(600):
        if paid(browser, site) == '{"paid": 1}':
            return
        time.sleep(0.1)
    sys.exit(f"the order was not paid once: {paid(browser, site)}")


def paid(browser: OpenerDirector, site: str) -> str:
    with browser.open(f"{site}/orders/1/") as response:
        return str(response.read().decode())


def shopper() -> OpenerDirector:
    return build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def environment() -> dict[str, str]:
    """This process's environment, without what could lead the fresh Python to the sources or to other settings."""
    strange = {"DJANGO_SETTINGS_MODULE", "PYTHONHOME", "PYTHONPATH"}
    return {name: value for name, value in os.environ.items() if name not in strange}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, env=environment(), check=False, capture_output=True, text=True)
    require(done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def require(holds: bool, complaint: str) -> None:
    if not holds:
        sys.exit(complaint)


if __name__ == "__main__":
    main(*sys.argv[1:])
