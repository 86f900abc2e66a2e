"""
The takings page: charts, tables and CSV.

Only its URL imports these modules, so that processes that never show it do not load them.
"""
