"""Forms of our own pages in the admin's fieldsets, which every theme styles."""

from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.contrib.admin import ModelAdmin
from django.contrib.admin.helpers import AdminForm


def admin_form(form: forms.BaseForm, model_admin: "ModelAdmin[Any]", names: Sequence[str] | None = None) -> AdminForm:
    """Return the form for ``admin/includes/fieldset.html``, with all its visible fields or those named."""
    if names is None:
        names = [field.name for field in form.visible_fields()]
    return AdminForm(cast("Any", form), [(None, {"fields": list(names)})], {}, (), model_admin=model_admin)
