class UnreadableTableError(ValueError):
    """The file is not a table that can be read; the message says why, for the person who chose the file."""
