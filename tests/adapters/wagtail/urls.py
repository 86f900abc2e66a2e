from django.contrib import admin
from django.urls import path

from tests.adapters.wagtail import urls_without_admin

urlpatterns = [*urls_without_admin.urlpatterns, path("django-admin/", admin.site.urls)]
