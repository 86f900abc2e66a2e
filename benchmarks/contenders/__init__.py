"""
Who takes the notification: this app, two views written by hand, and what a user would pick instead.

All stand in one project: the same process, middleware, database and connection, and each hears of a payment through
one receiver that counts. Each is sent the form that it documents: ours, the views by hand, django-payments and
django-getpaid the gateway's notification as production sends it (the fields in the query string, and again in a
multipart body), dj-stripe a signed event of the same size. In which order the body has them nobody has said: ours knows
one that has the query's own, and does not parse it, so that it is measured with another too. What each promises, and
what it does not:

ours
    A signed URL of its own for each payment; reference, merchant, currency and amount compared; an audit row; one
    transition, whoever comes at once; the signal is stored with it and is sent until each receiver has had it. Each
    change of a payment is written to the twenty indexes that the back office reads by; the floor has five.

floor
    Written by hand with what a careful developer asks for: the merchant and amount compared, an audit row, one
    transaction under ``select_for_update``, the signal after the commit. Whoever knows a reference can say that it has
    been paid; a signal is lost where the process dies, or where the receiver raises.

least
    The same promises as the floor in two statements: a conditional UPDATE and the INSERT of the audit row.

django-payments
    A provider of its own by its documentation: the view finds the payment by its token, in one transaction; the
    provider compares the amount, and does nothing about a payment that is paid already. ``status_changed`` is sent
    inside the transaction. No audit row, and no lock.

dj-stripe
    A signature of Stripe's, verified; the request and the event are kept, and an event is processed once. Its signal
    is sent inside the transaction. The event is of a kind that it does not ask Stripe's API about, as it does for most;
    which order has been paid, and whether by the right amount, would be up to the receiver, and is not measured.

django-getpaid
    A processor of its own by its documentation, with a signature of the body: the payment is locked, a transition is
    made once, in one transaction. No audit row, and no signal: the host's model sends one after the commit, once it is
    paid and was not before. It needs Python 3.12.

Stripe's and getpaid's forged notifications carry a wrong signature; that of django-payments, floor and least an
unknown token or reference; ours a wrong signature in the URL.
"""
