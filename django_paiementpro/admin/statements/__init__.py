"""The gateway's statements: upload, columns, and what agrees with the payments here."""
