import os

from celery import Celery

app = Celery("soaked", broker=os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/9"))
app.conf.task_default_queue = "paiementpro-soak"
app.conf.worker_hijack_root_logger = False
app.autodiscover_tasks()
