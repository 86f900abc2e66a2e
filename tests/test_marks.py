"""The marks of payment methods, alone and in forms; what to do by payment method."""

import re
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.template import Context, Template

from django_paiementpro.enums import Channel
from django_paiementpro.forms import MAX_BUTTONS, CustomerForm
from django_paiementpro.marks import draw_mark, label_of, mark_of
from django_paiementpro.models import Payment
from django_paiementpro.testing import make_payment
from django_paiementpro.widgets import ChannelSelect


@pytest.mark.parametrize(
    ("channel", "brand"),
    [
        ("OMCIV2", "orange"),
        ("omtg", "orange"),  # a country to come
        ("MOMOBJ", "mtn"),
        ("FLOOZ", "moov"),
        ("MOOVTG", "moov"),
        ("WAVESN", "wave"),
        ("TOGOCEL", "tmoney"),
        ("AIRTELNG", "airtel"),
        ("CARD", "bankcard"),
        ("PAYPAL", "other"),
        ("", "other"),
    ],
)
def test_mark_is_known_by_the_beginning_of_the_code(channel: str, brand: str) -> None:
    assert mark_of(channel).brand == brand


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("channel", Channel.values)
def test_mark_can_be_read(channel: str) -> None:
    mark = mark_of(channel)
    light, dark = sorted((luminance(mark.ground), luminance(mark.ink)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
    drawing = draw_mark(channel, "name")
    assert f'class="channel-mark {mark.brand}"' in drawing
    assert re.sub("<[^>]*>", "", drawing) == mark.letters
    assert drawing.count(mark.ink) == drawing.count(mark.ground) == drawing.count("</svg>") == 1


def test_mark_needs_no_style_and_no_file() -> None:
    for channel in Channel.values:
        assert not re.search("style|href|url", draw_mark(channel))


def test_name_of_a_mark_is_said_and_escaped() -> None:
    assert 'role="img" aria-label="&lt;b&gt;&quot;"' in draw_mark("CARD", '<b>"')
    assert 'aria-hidden="true"' in draw_mark("CARD")


def test_label_is_the_shops_or_else_the_apps(settings: Any) -> None:
    settings.PAIEMENTPRO_CHANNELS = [("OMCIV2", "Orange"), ("NEWPAY", "New Pay")]
    assert [label_of(code) for code in ("OMCIV2", "NEWPAY", "WAVECI", "NONE", "")] == [
        "Orange",
        "New Pay",
        "Wave Côte d’Ivoire",
        "NONE",
        "",
    ]


@pytest.mark.parametrize(
    ("argument", "attributes"),
    [("", 'role="img" aria-label="Wave Côte d’Ivoire"'), (" with_name=False", 'aria-hidden="true"')],
)
def test_tag_shows_a_mark(argument: str, attributes: str) -> None:
    tag = Template("{% load paiementpro %}{% channel_mark 'WAVECI'" + argument + " %}")
    assert attributes in tag.render(Context())


# In forms


class OrderForm(forms.Form):
    channel = forms.ChoiceField(
        choices=[("", "Later"), ("OMCIV2", "Orange <Money>"), ("CARD", "Card")], widget=ChannelSelect, required=False
    )


def test_widget_shows_the_marks_before_the_names() -> None:
    content = str(OrderForm({"channel": "CARD"})["channel"])
    assert content.count("<svg") == content.count('aria-hidden="true"') == 2
    assert re.search("</svg> <span>Orange &lt;Money&gt;</span>", content)
    assert re.search(r'value="CARD"[^>]* checked', content)
    assert content.index("Later") < content.index("<svg")


def test_choices_can_be_shown_one_by_one() -> None:
    labels = [choice.choice_label for choice in OrderForm()["channel"]]
    assert [str(label).count("<svg") for label in labels] == [0, 1, 1]


def test_widget_accepts_the_choices_alone() -> None:
    assert OrderForm({"channel": "CARD"}).is_valid()
    assert not OrderForm({"channel": "PAYPAL"}).is_valid()


@pytest.mark.django_db
@pytest.mark.parametrize(("count", "is_marked"), [(MAX_BUTTONS, True), (MAX_BUTTONS + 1, False)])
def test_checkout_form_shows_marks_unless_there_are_many(settings: Any, count: int, is_marked: bool) -> None:
    settings.PAIEMENTPRO_CHANNELS = Channel.values[:count]
    form = CustomerForm(instance=make_payment(channel="OMCIV2"), names={"channel"})
    content = str(form["channel"])
    assert content.count("<svg") == (count if is_marked else 0)
    assert content.count("<option") == (0 if is_marked else count + 1)
    assert re.search(r'value="OMCIV2"[^>]* (checked|selected)', content)


# What to do

INSTRUCTIONS = Template("{% load paiementpro %}{% payment_instructions payment %}")


def instructions(**values: Any) -> str:
    return INSTRUCTIONS.render(Context({"payment": Payment(**values)})).strip()


@pytest.mark.parametrize(
    ("channel", "text"),
    [
        ("WAVECI", "Confirm the payment in the Wave app."),
        ("CARD", "Finish the payment on your bank’s page, if it is still open."),
        ("OMCIV2", "Orange Money Côte d’Ivoire: confirm the payment on your phone, with your secret code."),
        ("MOMOBJ", "MTN MoMo Benin: confirm the payment on your phone, with your secret code."),
    ],
)
def test_instructions_depend_on_the_payment_method(channel: str, text: str) -> None:
    assert instructions(channel=channel) == f'<p class="lead">{text}</p>'
    assert instructions(channel="PAYPAL", gateway_channel=channel) == f'<p class="lead">{text}</p>'


@pytest.mark.parametrize("channel", ["", "PAYPAL", "../instructions", "a/b"])
def test_other_payment_methods_have_no_instructions(channel: str) -> None:
    assert instructions(channel=channel) == ""


def test_instructions_of_the_host_take_precedence(settings: Any, tmp_path: Path) -> None:
    folder = tmp_path / "paiementpro" / "instructions"
    folder.mkdir(parents=True)
    (folder / "OMCIV2.html").write_text("Dial 123, {{ method }}, {{ payment.amount_display }}", encoding="utf-8")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]
    assert instructions(channel="OMCIV2", amount=500) == "Dial 123, Orange Money Côte d’Ivoire, 500\u00a0F\u00a0CFA"
    assert "Wave app" in instructions(channel="WAVECI")
    (folder.parent / "other.html").write_text("not an instruction", encoding="utf-8")
    assert instructions(channel="../other") == ""
