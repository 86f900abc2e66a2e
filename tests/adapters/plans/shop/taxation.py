from plans.taxation import TaxationPolicy


class Taxation(TaxationPolicy):
    @classmethod
    def get_tax_rate(cls, tax_id, country_code, request=None):
        return 18, True
