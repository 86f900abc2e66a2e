"""What the ORM does not do, or not fast enough."""
