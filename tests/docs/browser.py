"""A browser for those who follow a page: it opens pages, presses what bears a label, and reads what is shown."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests

#: What the reader writes into forms, by the fields' names.
WRITTEN = {
    "first_name": "Awa",
    "last_name": "Koné",
    "email": "awa@example.com",
    "phone": "07 07 12 34 56",
    "customer_first_name": "Awa",
    "customer_last_name": "Koné",
    "customer_email": "awa@example.com",
    "customer_phone": "07 07 12 34 56",
    "username": "staff",
    "password": "attieke-2026",
}


@dataclass
class Form:
    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass
class Button:
    """What can be pressed: a link, a button of a form, or the title of a drawer."""

    label: str
    href: str = ""
    form: Form | None = None
    value: tuple[str, str] | None = None


class Page(HTMLParser):
    """What a page shows, and what can be pressed there."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.buttons: list[Button] = []
        self.text = ""
        self._form: Form | None = None
        self._pressable: Button | None = None
        self._hidden = ""
        self.feed(html)
        self.text = plain(self.text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag == "form":
            self._form = Form(values.get("action", ""), values.get("method", "get").lower())
        elif tag in {"a", "button", "summary"} and "hidden" not in values:
            form = self._form if tag == "button" else None
            value = (values["name"], values.get("value", "")) if form and "name" in values else None
            self._pressable = Button("", values.get("href", ""), form, value)
        elif tag == "input" and self._form:
            self._add_input(self._form, values)
        elif tag in {"script", "style"}:
            self._hidden = tag

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag in {"a", "button", "summary"} and self._pressable:
            self._pressable.label = plain(self._pressable.label)
            self.buttons.append(self._pressable)
            self._pressable = None
        elif tag == self._hidden:
            self._hidden = ""

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        self.text += data
        if self._pressable:
            self._pressable.label += data

    def _add_input(self, form: Form, values: dict[str, str]) -> None:
        name, kind = values.get("name", ""), values.get("type", "text")
        if kind == "submit":
            self.buttons.append(Button(plain(values["value"]), form=form))
        elif name and (kind not in {"radio", "checkbox"} or "checked" in values):
            form.fields[name] = values.get("value", "")


class Browser:
    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.url = ""
        self.page = Page("")

    def open(self, url: str) -> None:
        self._show(self.session.get(url, timeout=30))

    def press(self, label: str) -> None:
        """Press what bears the label; a word with a digit in it stands for any of its length, or longer, if cut."""
        pattern = " ".join(map(_pattern, plain(label).split(" ")))
        found = [button for button in self.page.buttons if re.fullmatch(pattern, button.label)]
        assert found, f"nothing here is called “{label}”: {[button.label for button in self.page.buttons]}"
        button = found[0]
        if button.form:
            self._send(button.form, button.value)
        elif button.href:
            self.open(urljoin(self.url, button.href))

    def read(self, text: str) -> None:
        assert plain(text) in self.page.text, f"“{text}” is not on {self.url}: {self.page.text}"

    def _send(self, form: Form, value: tuple[str, str] | None) -> None:
        assert form.method == "post"
        written = {name: WRITTEN[name] for name, there in form.fields.items() if name in WRITTEN and not there}
        data = {**form.fields, **written, **dict([value] if value else [])}
        self._show(self.session.post(urljoin(self.url, form.action), data, timeout=30))

    def _show(self, response: requests.Response) -> None:
        assert response.status_code == 200, f"{response.status_code} of {response.url}: {response.text[:2000]}"
        self.url, self.page = response.url, Page(response.text)


def _pattern(word: str) -> str:
    if not re.search(r"\d", word):
        return re.escape(word)
    return rf"(?=\S*\d)\S{{{len(word) - 1},}}" if word.endswith("…") else rf"\S{{{len(word)}}}"


def plain(text: str) -> str:
    """Write text with ordinary spaces, as people compare it."""
    return " ".join(text.split())
