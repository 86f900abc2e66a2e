"""
The gateway's statement: what its back office says was paid, compared with the payments here.

An import changes no payment. Each row is stored once, whatever files it comes in, with the payment that it is about;
what agrees and what does not is decided when it is looked at.
"""
