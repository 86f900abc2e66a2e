"""
The contenders: this app, views written by hand, and the packages that a developer might choose instead.

All of them are installed in one project and share its process, middleware, database and connection. Each has one
receiver, which counts the payments that it is notified of. Each receives the form that it documents: ours, the views
written by hand, django-payments and django-getpaid a notification as the gateway sends it in production (the fields in
the query string, and again in a multipart body), dj-stripe a signed event of the same size. Ours does not parse a body
that repeats the query string field by field. The order of the fields in production is not known, so ours is also
measured with a body in another order.

ours
    A signed URL for each payment. Reference, merchant, currency and amount are compared. Every notification leaves an
    audit row. A payment changes its status once, however many notifications arrive at the same time. The signal is
    stored in the same transaction and sent until every receiver has handled it. Every change of a payment also updates
    the many indexes that the back office needs.

floor
    Written by hand: merchant and amount are compared, and an audit row is stored in one transaction under
    ``select_for_update``. The signal is sent after the commit, and is lost if the process dies or the receiver raises.
    Anybody who knows a reference can report it as paid.

honest floor
    Written by hand in plain ORM code, with the same promises as ours: a signed URL, the same comparisons, and one
    transaction with a conditional UPDATE of the payment and the INSERT of a row that is both audit trail and outbox:
    it names the signal that is owed and holds a lease. The signal is sent after the commit and then marked as
    delivered. If the process dies or a receiver raises, the signal is sent again, though to all receivers, where ours
    skips those that have handled it. It has no review queue, no repeated attempts and no back office.

least
    The same promises as the floor in two statements: a conditional UPDATE and the INSERT of the audit row.

django-payments
    A provider written as its documentation describes: the view finds the payment by its token, in one transaction; the
    provider compares the amount, and ignores a payment that is already paid. ``status_changed`` is sent inside the
    transaction. There is no audit row and no lock.

dj-stripe
    Stripe's signature is verified, the request and the event are stored, and an event is processed once. The signal is
    sent inside the transaction. Stripe's API is not asked about this type of event, as it is about most. Matching the
    event to an order, and comparing the amount, would be left to the receiver, and is not measured.

django-getpaid
    A processor written as its documentation describes, with a signature of the body: the payment is locked and changes
    its status once, in one transaction. There is no audit row and no signal: the host's model sends one after the
    commit when the payment becomes paid. It needs Python 3.12.

A forged notification has a wrong signature, in the URL for ours and the honest floor, in a header for dj-stripe and
django-getpaid. For django-payments, floor and least it has an unknown token or reference.
"""
