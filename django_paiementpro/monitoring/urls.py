from django.urls import path

from django_paiementpro.monitoring import views

app_name = "paiementpro_monitoring"

urlpatterns = [path("health/", views.HealthView.as_view(), name="health")]
