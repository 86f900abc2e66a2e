# Runs paiementpro_reconcile every five minutes. On SIGTERM, a run finishes what it has started.
trap 'kill -TERM "$child"; wait "$child"; exit 0' TERM INT
while :; do
    python manage.py paiementpro_reconcile & child=$!
    wait "$child"
    sleep 300 & child=$!
    wait "$child"
done
