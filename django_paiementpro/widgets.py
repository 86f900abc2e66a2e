"""Form widgets, also for the forms of hosts."""

from typing import Any

from django import forms
from django.utils.html import format_html

from django_paiementpro.marks import draw_mark


class ChannelSelect(forms.RadioSelect):
    """
    Radio buttons for payment methods, with the mark of each before its name.

    The choices are pairs of the gateway's code and a label, like those of ``Payment``'s field ``channel``; a choice
    without a code has no mark. It needs neither files nor styles.
    """

    def create_option(self, name: str, value: Any, label: int | str, *args: Any, **kwargs: Any) -> dict[str, Any]:
        if value:
            label = format_html("{} <span>{}</span>", draw_mark(str(value)), label)
        return super().create_option(name, value, label, *args, **kwargs)
