"""What gunicorn serves."""

from django.core.wsgi import get_wsgi_application

from benchmarks.contenders.field import contenders

application = get_wsgi_application()
contenders()  # connects the receivers
