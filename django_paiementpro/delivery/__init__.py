"""The delivery of signals, which are stored with the transition that they report."""
