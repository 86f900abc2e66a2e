from rest_framework.routers import SimpleRouter

from django_paiementpro.links.api.views import LinkViewSet

app_name = "paiementpro_links_api"

router = SimpleRouter()
router.register("links", LinkViewSet, basename="link")

urlpatterns = router.urls
