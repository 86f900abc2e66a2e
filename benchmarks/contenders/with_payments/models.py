from payments.models import BasePayment


class Payment(BasePayment):
    def get_failure_url(self) -> str:
        return "/failure/"

    def get_success_url(self) -> str:
        return "/success/"
