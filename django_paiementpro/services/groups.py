"""
Ready-made groups of a shop's staff, with the permissions that each needs.

A group is found again by its name in any language of the site. A shop's own changes to it stay, unless asked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.db import router, transaction
from django.utils import translation
from django.utils.translation import pgettext_lazy

from django_paiementpro.models import Payment

#: What each group may do: permissions by app, for apps that are installed.
GROUPS: dict[str, tuple[Any, dict[str, tuple[str, ...]]]] = {
    "cashier": (
        pgettext_lazy("group", "Payments: cashier"),
        {
            "paiementpro": ("view_payment", "check_payment"),
            "paiementpro_links": ("view_paymentlink", "add_paymentlink", "change_paymentlink"),
            "paiementpro_receipts": ("view_receipt",),
        },
    ),
    "support": (
        pgettext_lazy("group", "Payments: support"),
        {
            "paiementpro": ("view_payment", "check_payment", "review_payment"),
            "paiementpro_links": ("view_paymentlink",),
            "paiementpro_receipts": ("view_receipt",),
        },
    ),
    "accountant": (
        pgettext_lazy("group", "Payments: accountant"),
        {
            "paiementpro": (
                *("view_payment", "check_payment", "confirm_payment", "refund_payment", "review_payment"),
                *("export_payment", "view_statement", "add_statement"),
            ),
            "paiementpro_links": ("view_paymentlink",),
            "paiementpro_receipts": ("view_receipt",),
        },
    ),
    "owner": (pgettext_lazy("group", "Payments: owner"), {}),
}

#: The prefixes of permissions that do nothing in the core, whose admin neither adds, edits nor deletes.
IDLE = ("add_", "change_", "delete_")


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group, and how it differs from the ready-made one."""

    group: Group
    is_new: bool
    #: Permissions that it lacks, and those that it has besides, as ``app_label.codename``.
    missing: list[str]
    additional: list[str]


def make_groups(*, add: bool = False, reset: bool = False) -> list[GroupState]:
    """
    Make the groups that do not exist yet, and return all of them as they are then.

    Groups that exist are left as they are. ``add`` gives them the permissions that they lack, ``reset`` exactly those
    of the ready-made group. Raises ``LookupError`` if the table of permissions has not been filled yet.
    """
    using = router.db_for_write(Group)
    with transaction.atomic(using=using):
        return [_make_group(key, using, add=add, reset=reset) for key in GROUPS]


def _make_group(key: str, using: str, *, add: bool, reset: bool) -> GroupState:
    wanted = {*_permissions_of(key, using)}
    if not wanted:
        raise LookupError(key)
    name = GROUPS[key][0]
    names = {str(name)}
    for language, _label in settings.LANGUAGES:
        with translation.override(language):
            names.add(str(name))
    group = Group.objects.using(using).filter(name__in=names).order_by("pk").first()
    is_new = group is None
    if group is None:
        group = Group.objects.using(using).create(name=str(name))
    if is_new or reset:
        group.permissions.set(wanted)
    elif add:
        group.permissions.add(*wanted)
    has = {*group.permissions.select_related("content_type")}
    return GroupState(group, is_new, _texts(wanted - has), _texts(has - wanted))


def _permissions_of(key: str, using: str) -> Iterator[Permission]:
    """Iterate over the permissions of a group; all that our apps have for the owner, but for the sandbox's."""
    labels = {config.label for config in apps.get_app_configs() if f"{config.name}.".startswith("django_paiementpro.")}
    labels.discard("paiementpro_sandbox")
    rows = Permission.objects.using(using).filter(content_type__app_label__in=labels).select_related("content_type")
    core = Payment._meta.app_label
    for permission in rows:
        label, codename = permission.content_type.app_label, permission.codename
        if key == "owner":
            is_wanted = label != core or codename.endswith("_statement") or not codename.startswith(IDLE)
        else:
            is_wanted = codename in GROUPS[key][1].get(label, ())
        if is_wanted:
            yield permission


def _texts(permissions: set[Permission]) -> list[str]:
    return sorted(f"{permission.content_type.app_label}.{permission.codename}" for permission in permissions)
