from io import StringIO

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import translation
from django.utils.functional import lazy, lazystr

from django_paiementpro.models import Payment
from django_paiementpro.services.groups import GROUPS, make_groups
from django_paiementpro.testing import make_payment

pytestmark = pytest.mark.django_db

CORE = "paiementpro."


def run(*arguments: str) -> str:
    out = StringIO()
    call_command("paiementpro_groups", *arguments, stdout=out)
    return out.getvalue()


def permissions_of(name: str) -> set[str]:
    rows = Group.objects.get(name=name).permissions.values_list("content_type__app_label", "codename")
    return {f"{label}.{codename}" for label, codename in rows}


def codenames(name: str) -> set[str]:
    return {text.removeprefix(CORE).removesuffix("_payment") for text in permissions_of(name) if text.startswith(CORE)}


def test_groups_have_the_permissions_of_their_work() -> None:
    output = run()

    assert output.splitlines() == [f"{name}: made." for name, _permissions in GROUPS.values()]
    assert codenames("Payments: cashier") == {"view", "check"}
    assert codenames("Payments: support") == {"view", "check", "review"}
    statements = {"view_statement", "add_statement"}
    accountant = {"view", "check", "confirm", "refund", "review", "export"}
    assert codenames("Payments: accountant") == accountant | statements
    assert {f"paiementpro.{codename}" for codename in statements} <= permissions_of("Payments: owner")
    own = {codename for codename, _text in Payment._meta.permissions}
    assert {f"{CORE}{codename}" for codename in own} <= permissions_of("Payments: owner")
    assert not {f"{CORE}add_payment", f"{CORE}change_payment", f"{CORE}delete_payment"} & permissions_of(
        "Payments: owner"
    )
    assert {text for text in permissions_of("Payments: owner") if "sandbox" in text} == set()
    assert "paiementpro_links.delete_paymentlink" in permissions_of("Payments: owner")
    assert "paiementpro_links.add_paymentlink" in permissions_of("Payments: cashier")
    assert "paiementpro_links.choose_merchant" not in permissions_of("Payments: cashier")
    assert "paiementpro_links.choose_merchant" in permissions_of("Payments: owner")
    assert {text for text in permissions_of("Payments: cashier") if not text.startswith("paiementpro")} == set()


@pytest.mark.parametrize("key", GROUPS)
def test_members_can_work_in_the_admin(key: str) -> None:
    make_groups()
    user = User.objects.create_user("awa", is_staff=True)
    user.groups.add(Group.objects.get(name=str(GROUPS[key][0])))
    client = Client()
    client.force_login(user)
    payment = make_payment(status="succeeded", attempt=1)

    assert client.get("/admin/paiementpro/payment/").status_code == 200
    assert client.get(f"/admin/paiementpro/payment/{payment.pk}/change/").status_code == 200
    refund = client.get(f"/admin/paiementpro/payment/{payment.pk}/refund/").status_code
    assert refund == (200 if key in {"accountant", "owner"} else 403)
    export = client.get("/admin/paiementpro/payment/export/").status_code
    assert export == (200 if key in {"accountant", "owner"} else 403)


def test_changes_of_the_shop_are_kept_and_reported() -> None:
    run()
    group = Group.objects.get(name="Payments: cashier")
    group.permissions.remove(Permission.objects.get(codename="check_payment"))
    group.permissions.add(Permission.objects.get(codename="export_payment"))

    output = run()

    assert codenames("Payments: cashier") == {"view", "export"}
    assert output.splitlines()[:4] == [
        "Payments: cashier: exists.",
        "  lacks: paiementpro.check_payment",
        "  has besides: paiementpro.export_payment",
        "Payments: support: exists.",
    ]
    assert Group.objects.count() == len(GROUPS)


def test_lacking_permissions_are_added_when_asked_for() -> None:
    run()
    group = Group.objects.get(name="Payments: cashier")
    group.permissions.set([Permission.objects.get(codename="export_payment")])
    run("--add")
    assert codenames("Payments: cashier") == {"view", "check", "export"}


def test_permissions_are_reset_when_asked_for() -> None:
    run()
    group = Group.objects.get(name="Payments: cashier")
    group.permissions.set([Permission.objects.get(codename="export_payment")])
    assert "lacks" not in run("--reset")
    assert codenames("Payments: cashier") == {"view", "check"}


def test_group_keeps_its_name_when_the_site_changes_its_language(monkeypatch: pytest.MonkeyPatch) -> None:
    run()
    Group.objects.filter(name="Payments: owner").update(name="Everything")
    with translation.override("fr"):
        run()
    names = {*Group.objects.values_list("name", flat=True)}
    assert {"Payments: cashier", "Payments: support", "Payments: accountant", "Everything"} < names
    assert len(names) == len(GROUPS) + 1


def test_name_in_another_language_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    name = lazystr("Payments: cashier")
    french = lazy(lambda: "Paiements : caisse" if translation.get_language() == "fr" else str(name), str)()
    monkeypatch.setitem(GROUPS, "cashier", (french, GROUPS["cashier"][1]))
    with translation.override("fr"):
        assert "Paiements : caisse" in run()
    assert "Paiements : caisse: exists." in run()
    assert Group.objects.count() == len(GROUPS)


def test_command_needs_the_tables() -> None:
    Permission.objects.all().delete()
    with pytest.raises(CommandError, match="Run migrate first"):
        run()
    assert not Group.objects.exists()


def test_options_exclude_each_other() -> None:
    with pytest.raises(CommandError, match="not allowed with"):
        run("--add", "--reset")
