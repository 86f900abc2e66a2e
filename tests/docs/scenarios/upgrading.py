from io import StringIO

from django.core.management import call_command
from django.test import TransactionTestCase
from django.test.utils import override_settings


class Upgrade(TransactionTestCase):
    def test_no_setting_calls_for_a_migration(self) -> None:
        for settings in (
            {"DEFAULT_AUTO_FIELD": "django.db.models.AutoField"},
            {"LANGUAGE_CODE": "en", "PAIEMENTPRO_CURRENCIES": {"XOF": "952", "XAF": "950"}},
            {"PAIEMENTPRO_CHANNELS": ["WAVECI", ("MOOTG", "Moov")], "PAIEMENTPRO_MERCHANT_ID": "PP-F1"},
        ):
            said = StringIO()
            with override_settings(**settings):
                call_command("makemigrations", "paiementpro", check_changes=True, dry_run=True, stdout=said)
            assert "No changes detected" in said.getvalue()
