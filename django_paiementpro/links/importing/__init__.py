"""Many links from a spreadsheet: a table is read, its rows are checked, and all of them become links, or none."""
