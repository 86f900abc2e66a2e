"""Mail to the shop's staff: what needs a person, as it happens (``PAIEMENTPRO_ALERT_EMAILS``), and a daily digest."""
