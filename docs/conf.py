"""
The documentation, in English and in French: ``make docs`` builds docs/_build/en and docs/_build/fr.

One page has one name in both. ``-t fr`` builds the French.
"""

import logging
import os
import sys
from pathlib import Path

import django
from django.utils import translation

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
os.environ["DATABASE_URL"] = "sqlite://:memory:"
django.setup()
logging.getLogger("django_paiementpro").setLevel(logging.CRITICAL)  # of what the state diagram tries

from django_paiementpro import __version__  # noqa: E402

# What Sphinx reads by these names ------------------------------------------------------------------------------------

project = "django-paiementpro"
author = copyright = "django-paiementpro contributors"  # noqa: A001
version = release = __version__
language = "fr" if tags.has("fr") else "en"  # noqa: F821  Sphinx gives it
translation.activate(language)
locale_dirs = ["../locale"]  # what the theme says; what the code says is read by _ext/texts.py

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.extlinks",
    "sphinx_copybutton",
    "diagrams",
    "languages",
    "reference",
    "states",
    "texts",
]
smartquotes = False  # "live" is what one writes into settings
maximum_signature_line_length = 70
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # the types in signatures are Python’s and Django’s
default_role = None
highlight_language = "none"  # of what is written with :: alone
templates_path = ["_templates"]
exclude_patterns = []
extlinks_detect_hardcoded_links = False
extlinks = {
    "django": (f"https://docs.djangoproject.com/{language}/5.2/%s", None),
}

# autodoc: the order of the source, and short names.
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
add_module_names = False

# HTML ----------------------------------------------------------------------------------------------------------------

html_theme = "furo"
html_title = f"{project} {version}"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_js_files = [("docs.js", {"defer": "defer"})]
html_copy_source = False
html_show_sphinx = False
html_domain_indices = False
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
