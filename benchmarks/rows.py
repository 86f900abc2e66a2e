"""
The rows to generate, as SQL for PostgreSQL.

Each table has its columns and their source; other columns get the defaults of their fields. All values are derived from
hashes of the row's number, so two runs differ only by the clock.
"""

# OFFSET 0, below, makes PostgreSQL evaluate a step once, not at each of its uses.

# share: a number from 0 to 1 for a row, another one for each purpose. pick: one of a list, the first the most often.
FUNCTIONS = """
CREATE FUNCTION pg_temp.share(number bigint, purpose int) RETURNS float8 IMMUTABLE LANGUAGE sql AS
$$ SELECT (hashint8extended(number, purpose) & 4294967295) / 4294967296.0::float8 $$;

CREATE FUNCTION pg_temp.pick(list text[], share float8) RETURNS text IMMUTABLE LANGUAGE sql AS
$$ SELECT list[1 + floor(share * share * cardinality(list))::int] $$;

CREATE FUNCTION pg_temp.fold(name text) RETURNS text IMMUTABLE LANGUAGE sql AS
$$ SELECT translate(lower(name), 'àâçèéêëîïôöùûü’', 'aaceeeeiioouuu-') $$;

CREATE FUNCTION pg_temp.pairs(digits text, separator text) RETURNS text IMMUTABLE LANGUAGE sql AS
$$ SELECT regexp_replace(digits, '(..)(?=.)', '\\1' || separator, 'g') $$;
"""

# Which payments are made in which hour of the last two years, from the first to the last.
HOURS = """
CREATE TEMP TABLE hours ON COMMIT DROP AS
SELECT starts_at,
       round(%(payments)s::numeric * (upto - weight) / total)::bigint + 1 AS first,
       round(%(payments)s::numeric * upto / total)::bigint AS last
FROM (
    SELECT starts_at, weight, sum(weight) OVER (ORDER BY starts_at) AS upto, sum(weight) OVER () AS total
    FROM generate_series(now() - interval '730 days', now() - interval '1 hour', interval '1 hour') AS starts_at
    CROSS JOIN LATERAL (SELECT (%(rhythm)s::int[])[1 + extract(hour FROM starts_at)::int] AS weight) AS clock
) AS hour
"""

# Each pays about three times, always with the same payment method.
CUSTOMERS = """
CREATE TEMP TABLE customers ON COMMIT DROP AS
SELECT id, first_name, last_name, habit.channel AS means, calling_code,
       prefix || lpad(mod(id * 48271, 100000000)::text, 8, '0') AS phone,
       CASE WHEN pg_temp.share(id, 1) < 0.05 THEN initcap(mailbox) ELSE mailbox END
           || CASE WHEN pg_temp.share(id, 2) < 0.7 THEN '@example.com' ELSE '@example.org' END AS email
FROM (
    SELECT id,
           pg_temp.pick(%(first_names)s::text[], pg_temp.share(id, 3)) AS first_name,
           pg_temp.pick(%(last_names)s::text[], pg_temp.share(id, 4)) AS last_name,
           pg_temp.share(id, 5) AS draw
    FROM generate_series(1, %(customers)s::bigint) AS id
    OFFSET 0
) AS named
CROSS JOIN LATERAL (
    SELECT translate(lower(first_name || '.' || last_name), 'àâçèéêëîïôöùûü’', 'aaceeeeiioouuu') || id AS mailbox
) AS mail
JOIN (
    SELECT channel, calling_code, prefix,
           (sum(weight) OVER running - weight) / 1e4::float8 AS low, sum(weight) OVER running / 1e4::float8 AS high
    FROM unnest(%(channels)s::text[], %(weights)s::int[], %(calling_codes)s::text[], %(prefixes)s::text[])
        WITH ORDINALITY AS habit (channel, weight, calling_code, prefix, place)
    WINDOW running AS (ORDER BY place)
) AS habit ON draw >= low AND draw < high
"""

ORDERS = {"id": "id", "total": "100 * (5 + floor(exp(6.5 * pg_temp.share(id, 10))))::bigint"}
ORDERS_SOURCE = "generate_series(1, %(payments)s::bigint) AS id"

PAYMENTS = {
    "id": "id",
    "reference": "reference",
    "attempt": "attempt",
    "merchant_id": "merchant_id",
    "amount": "amount",
    "description": "'Commande ' || id",
    "channel": "CASE WHEN pg_temp.share(id, 11) < 0.7 THEN means ELSE '' END",
    "customer_email": "email",
    "customer_first_name": "first_name",
    "customer_last_name": "last_name",
    "customer_phone": """CASE floor(6 * pg_temp.share(id, 12))
        WHEN 0 THEN pg_temp.pairs(phone, ' ')
        WHEN 1 THEN '+' || calling_code || phone
        WHEN 2 THEN '00' || calling_code || phone
        WHEN 3 THEN left(phone, -6) || '-' || pg_temp.pairs(right(phone, 6), '-')
        WHEN 4 THEN '+' || calling_code || ' ' || pg_temp.pairs(phone, ' ')
        ELSE phone END""",
    "content_type_id": "%(order_type)s",
    "object_id": "id::text",
    "return_context": "jsonb_build_object('order_id', id::text)",
    "status": "status",
    "needs_review": "reason <> ''",
    "settled_by": "settled_by",
    "settled_attempt": "CASE WHEN settled_by <> '' THEN attempt END",
    "opened_attempt": "CASE WHEN is_opened THEN attempt END",
    "payment_url": """CASE WHEN is_opened THEN
        'https://www.paiementpro.net/webservice/onlinepayment/processing_v2.php?sessionid=' || md5('session ' || id)
        ELSE '' END""",
    "gateway_id": "gateway_id",
    "gateway_key": "lower(gateway_id)",
    "gateway_channel": "CASE WHEN settled_by <> '' THEN means ELSE '' END",
    "transaction_date": "date_trunc('second', settled_at)",
    "response_code": "CASE WHEN is_paid THEN '0' WHEN status = 'failed' THEN '-1' ELSE '' END",
    "refunded_amount": "CASE WHEN status = 'refunded' THEN amount ELSE coalesce(partly_refunded, 0) END",
    "created_at": "created_at",
    "updated_at": "coalesce(refunded_at, settled_at, initialized_at, created_at)",
    "initialized_at": "initialized_at",
    "settled_at": "settled_at",
}

PAYMENTS_SOURCE = f"""
(
    SELECT made.*, first_name, last_name, email, calling_code, phone, means,
           substr(md5('reference ' || made.id), 1, 24) AS reference,
           CASE WHEN pg_temp.share(made.id, 20) < 0.97 THEN 'PP-F324'
               ELSE 'PP-F' || 1001 + floor(30 * pg_temp.share(made.id, 21))::int END AS merchant_id,
           {ORDERS["total"].replace("id", "made.id")} AS amount,
           CASE WHEN made.id > 0.95 * %(payments)s AND pg_temp.share(made.id, 22) < 0.2 THEN 'pending' ELSE
               CASE width_bucket(99 * pg_temp.share(made.id, 23), ARRAY[2, 82, 91, 97, 98]::float8[])
                   WHEN 0 THEN 'created' WHEN 1 THEN 'succeeded' WHEN 2 THEN 'failed' WHEN 3 THEN 'expired'
                   WHEN 4 THEN 'cancelled' ELSE 'refunded' END END AS status
    FROM (
        SELECT id, 1 + floor(%(customers)s * pg_temp.share(id, 24))::bigint AS customer_id,
               starts_at + interval '1 hour' * ((id - first + pg_temp.share(id, 25)) / (last - first + 1)) AS created_at
        FROM hours CROSS JOIN LATERAL generate_series(first, last) AS id
        OFFSET 0
    ) AS made
    JOIN customers ON customers.id = customer_id
    ORDER BY made.id
) AS payment
CROSS JOIN LATERAL (
    SELECT status <> 'created' AS is_opened,
           status IN ('succeeded', 'refunded') AS is_paid,
           CASE WHEN status = 'created' THEN (pg_temp.share(id, 30) < 0.5)::int
               WHEN pg_temp.share(id, 31) < 0.85 THEN 1 WHEN pg_temp.share(id, 31) < 0.96 THEN 2 ELSE 3 END AS attempt,
           CASE WHEN status = 'failed' THEN 'notification'
               WHEN status NOT IN ('succeeded', 'refunded') THEN ''
               WHEN pg_temp.share(id, 32) < 0.05 THEN 'status'
               WHEN pg_temp.share(id, 32) < 0.0555 THEN 'staff' ELSE 'notification' END AS settled_by
    OFFSET 0
) AS fate
CROSS JOIN LATERAL (
    SELECT CASE WHEN is_opened THEN
               least(now(), created_at + interval '2 seconds' + (attempt - 1) * interval '4 minutes')
               END AS initialized_at,
           CASE WHEN settled_by <> '' THEN
               least(now(), created_at + interval '15 seconds' + (attempt - 1) * interval '4 minutes'
                   + pg_temp.share(id, 33) ^ 3 * CASE settled_by WHEN 'notification' THEN interval '10 minutes'
                       WHEN 'status' THEN interval '6 hours' ELSE interval '3 days' END)
               END AS settled_at
    OFFSET 0
) AS moments
CROSS JOIN LATERAL (
    SELECT CASE WHEN NOT is_paid THEN ''
               WHEN pg_temp.share(id, 34) < 0.6 THEN '9' || lpad(mod(id * 982451653, 1000000000000)::text, 12, '0')
               ELSE 'CI' || to_char(settled_at, 'YYYYMMDD') || lpad(id::text, 8, '0') END AS gateway_id,
           CASE WHEN status = 'refunded' THEN
               least(now(), settled_at + interval '20 days' * pg_temp.share(id, 35)) END AS refunded_at,
           CASE WHEN is_paid AND pg_temp.share(id, 13) < 0.005 THEN amount / 2 END AS partly_refunded
    OFFSET 0
) AS outcome
CROSS JOIN LATERAL (
    SELECT CASE WHEN NOT is_paid OR pg_temp.share(id, 36) >= 0.001 / 0.81 THEN ''
               WHEN pg_temp.share(id, 37) < 0.4 THEN 'amount_mismatch'
               WHEN pg_temp.share(id, 37) < 0.7 THEN 'paid_twice'
               WHEN pg_temp.share(id, 37) < 0.9 THEN 'failure_after_success'
               ELSE 'unknown_code' END AS reason
    OFFSET 0
) AS review
"""

# An open finding for each payment to review, and one that has been reviewed.
FINDINGS = {
    "payment_id": "payment.id",
    "reason": "CASE mod(payment.id, 3) WHEN 0 THEN 'amount_mismatch' WHEN 1 THEN 'paid_twice' ELSE 'unknown_code' END",
    "detail": "'6250 != ' || amount",
    "created_at": "settled_at",
    "reviewed_at": "CASE WHEN number = 1 THEN settled_at END",
}
FINDINGS_SOURCE = """
(SELECT * FROM paiementpro_payment WHERE needs_review ORDER BY id) AS payment CROSS JOIN generate_series(0, 1) AS number
"""

REFUNDS = {
    "payment_id": "payment.id",
    "amount": "refunded_amount",
    "reference": "'R' || payment.id",
    "refunded_on": "(updated_at AT TIME ZONE 'UTC')::date",
    "created_at": "updated_at",
}
REFUNDS_SOURCE = "(SELECT * FROM paiementpro_payment WHERE refunded_amount > 0 ORDER BY id) AS payment"

# As normalization.py makes them.
SEARCH_KEYS = {"payment_id": "payment.id", "text": "key.text"}
SEARCH_KEYS_SOURCE = """
paiementpro_payment AS payment
CROSS JOIN LATERAL (SELECT pg_temp.fold(customer_first_name || ' ' || customer_last_name) AS names OFFSET 0) AS folded
CROSS JOIN LATERAL (
    SELECT DISTINCT text FROM (
        SELECT array_to_string(words[place:] || words[:place - 1], ' ')
        FROM (
            SELECT regexp_split_to_array(names, '[^a-z]+') AS words
            UNION ALL
            SELECT regexp_split_to_array(regexp_replace(names, '[^a-z ]+', '', 'g'), ' ')
        ) AS spelling
        CROSS JOIN generate_subscripts(words, 1) AS place
        UNION ALL
        SELECT '@' || lower(customer_email)
        UNION ALL
        SELECT CASE WHEN customer_phone LIKE '+%%' THEN replace(customer_phone, ' ', '')
            WHEN customer_phone LIKE '00%%' THEN '+' || substr(customer_phone, 3)
            ELSE '+' || coalesce(habit.calling_code, '225') || regexp_replace(customer_phone, '[^0-9]', '', 'g') END
        FROM (SELECT 1) AS one LEFT JOIN unnest(%(channels)s::text[], %(calling_codes)s::text[])
            AS habit (channel, calling_code) ON habit.channel = effective_channel
    ) AS keys (text)
    WHERE text <> ''
) AS key
"""

REQUEST_FIELDS = [
    *("merchantId", "amount", "description", "channel", "countryCurrencyCode", "referenceNumber", "customerEmail"),
    *("customerFirstName", "customerLastname", "customerPhoneNumber", "returnContext"),
]
NOTIFICATION_FIELDS = [
    *("merchantId", "sessionId", "payId", "channel", "countryCurrencyCode", "referenceNumber", "amount"),
    *("transactiondt", "returnContext", "responsecode"),
]
ANSWER_FIELDS = ["marchant_id", "pay_id", "reference", "amount", "channel", "token", "date", "success"]

EVENTS = {
    "payment_id": "payment.id",
    "kind": "kind",
    "outcome": "outcome",
    "reason": "reason",
    "message": "message",
    "data": "data",
    "remote_address": "CASE WHEN kind = 'notification' THEN '172.68.' || mod(payment.id, 200) || '.17' ELSE '' END",
    "created_at": "event.at",
}

# As the services write them: requests, answers, and repeated notifications.
EVENTS_SOURCE = """
(SELECT * FROM paiementpro_payment ORDER BY id) AS payment
CROSS JOIN LATERAL (
    SELECT jsonb_object(%(request)s::text[], ARRAY[
               merchant_id, amount::text, description, channel, '952', reference, customer_email, customer_first_name,
               customer_last_name, right(customer_phone, 10), return_context::text]) AS request,
           CASE WHEN settled_by IN ('notification', 'staff') THEN jsonb_object(%(notification)s::text[], ARRAY[
               merchant_id, right(payment_url, 32), gateway_id, gateway_channel, '952', reference, amount::text,
               to_char(transaction_date, 'YYYY-MM-DD HH24:MI:SS'), return_context::text, response_code])
               END AS notification,
           CASE WHEN settled_by = 'status' THEN jsonb_object(%(answer)s::text[], ARRAY[
               merchant_id, gateway_id, reference, amount::text, gateway_channel, '',
               to_char(transaction_date, 'YYYY-MM-DD HH24:MI:SS'), 'true']) END AS answer,
           CASE WHEN needs_review THEN 'unknown_code' ELSE '' END AS finding
    OFFSET 0
) AS said
CROSS JOIN LATERAL (
    SELECT 'initialize' AS kind, CASE status WHEN 'created' THEN 'refused' ELSE 'accepted' END AS outcome,
           '' AS reason, CASE status WHEN 'created' THEN 'ID marchand inconnu' ELSE '' END AS message,
           CASE number WHEN 1 THEN request
               ELSE jsonb_set(request, '{referenceNumber}', to_jsonb(reference || '-' || number)) END AS data,
           payment.created_at + (number - 1) * interval '4 minutes' AS at
    FROM generate_series(1, attempt) AS number
    UNION ALL
    SELECT settled_by, 'accepted', '', CASE settled_by WHEN 'staff' THEN 'Seen on the dashboard' ELSE '' END,
           coalesce(notification, answer), settled_at
    WHERE settled_by <> ''
    UNION ALL
    SELECT 'notification', 'duplicate', '', '', notification, settled_at + number * interval '1 second'
    FROM generate_series(1, CASE WHEN settled_by = 'notification' AND status <> 'failed' THEN
        (ARRAY[1, 2, 2, 2, 2, 3, 3, 3, 3, 3])[1 + mod(payment.id, 10)] ELSE 0 END) AS number
    UNION ALL
    SELECT 'notification', 'conflict', finding, finding || ': 5', coalesce(notification, answer),
           settled_at + interval '1 hour'
    WHERE needs_review
    UNION ALL
    SELECT 'expiry', 'accepted', '', '', '{}', initialized_at + interval '1 day' WHERE status = 'expired'
    UNION ALL
    SELECT 'host', 'accepted', '', 'The basket was given up', '{}', initialized_at + interval '1 hour'
    WHERE status = 'cancelled'
    UNION ALL
    SELECT 'staff', 'accepted', '', 'Out of stock', '{}', updated_at WHERE refunded_amount > 0
) AS event
"""
