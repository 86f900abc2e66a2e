import os

from celery import Celery

app = Celery("soaked", broker=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/9"))
# Named by the database, so that soaks on several databases do not meet.
app.conf.task_default_queue = f"paiementpro-soak-{os.environ.get('OPERATIONS_URL', '').rpartition('/')[2]}"
app.conf.worker_hijack_root_logger = False
app.autodiscover_tasks()
