"""What the ORM does not do, or does too slowly."""
