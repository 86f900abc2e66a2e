from django_paiementpro.checks.database import check_database
from django_paiementpro.checks.installation import check_deployment, check_installation

__all__ = ["check_database", "check_deployment", "check_installation"]
