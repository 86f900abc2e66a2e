import os

# As merchant_id in the section [paiementpro] of pretix.cfg.
os.environ["PRETIX_PAIEMENTPRO_MERCHANT_ID"] = "PP-F324"

from pretix.testutils.settings import *  # noqa: F403

PAIEMENTPRO_STATUS_URL = None
