"""The gateway's JSON service."""

import json

from django.views.decorators.debug import sensitive_variables

from django_paiementpro.conf import conf
from django_paiementpro.exceptions import GatewayRefusedError, GatewayUnavailableError
from django_paiementpro.gateway.connections import call
from django_paiementpro.gateway.messages import PageAnswer, PageRequest
from django_paiementpro.gateway.transport import JSON_HEADERS, Transport, read_json

INITIALIZE_PATH = "/webservice/onlinepayment/init/curl-init.php"

HEADERS = {**JSON_HEADERS, "Content-Type": "application/json"}


class JSONTransport(Transport):
    @sensitive_variables()
    def open_page(self, request: PageRequest) -> str:
        content = json.dumps(request.as_json()).encode()
        status, body = call("POST", conf.gateway_url + INITIALIZE_PATH, HEADERS, content)
        answer = PageAnswer.from_json(read_json(status, body))
        if answer.is_refusal:
            raise GatewayRefusedError(answer.message)
        if not answer.is_success or status != 200:
            raise GatewayUnavailableError(f"the gateway's answer (HTTP {status}) is neither yes nor no")
        return answer.url
