"""
The takings page: charts, tables and CSV.

Only its URL imports these modules, so processes that never show the page do not load them.
"""
