"""Optional integrations, each for hosts that have its package installed."""
