"""
What ``paiementpro_verify_account`` does: find out what a merchant's account really does, by paying the minimum amount.

``cases`` pays and watches, ``refusals`` asks for what the gateway should refuse, ``verdict`` draws the conclusions, and
``report`` writes them down.
"""
