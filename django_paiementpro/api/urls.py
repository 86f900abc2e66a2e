from rest_framework.routers import SimpleRouter

from django_paiementpro.api.views import PaymentViewSet

app_name = "paiementpro_api"

router = SimpleRouter()
router.register("payments", PaymentViewSet, basename="payment")

urlpatterns = router.urls
