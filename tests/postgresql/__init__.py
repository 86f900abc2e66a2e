"""What PostgreSQL alone can show: run by make postgres."""
