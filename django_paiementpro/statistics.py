"""What was taken, by whom and how fast: figures of the day book."""
