from collections.abc import Collection
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db.models import QuerySet
from wagtail.permission_policies import ModelPermissionPolicy

from django_paiementpro.models import Payment

#: What may be done with payments in Wagtail's admin. Superusers may do no more.
ACTIONS = {"view", "export"}


class ReadOnlyPermissionPolicy(ModelPermissionPolicy):
    """Payments record what the gateway reported: they cannot be added, edited or deleted."""

    def user_has_permission(self, user: Any, action: str) -> bool:
        return action in ACTIONS and super().user_has_permission(user, action)

    def user_has_any_permission(self, user: Any, actions: Collection[str]) -> bool:
        return any(self.user_has_permission(user, action) for action in actions)

    def users_with_any_permission(self, actions: Collection[str]) -> QuerySet[Any]:
        allowed = ACTIONS & {*actions}
        return super().users_with_any_permission(allowed) if allowed else get_user_model()._default_manager.none()


def registered_permissions() -> QuerySet[Permission]:
    """Return the permissions to offer in Wagtail's form for groups: all that these pages or our Django admin check."""
    codenames = [f"view_{Payment._meta.model_name}", *(codename for codename, _name in Payment._meta.permissions)]
    return Permission.objects.filter(
        content_type__app_label=Payment._meta.app_label,
        content_type__model=Payment._meta.model_name,
        codename__in=codenames,
    )
