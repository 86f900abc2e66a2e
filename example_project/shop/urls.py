from django.urls import path

from shop import api, views

app_name = "shop"

urlpatterns = [
    path("", views.product_list, name="products"),
    path("products/<slug:slug>/", views.product_detail, name="product"),
    path("products/<slug:slug>/buy/", views.buy, name="buy"),
    path("express/", views.express, name="express"),
    path("api/products/<slug:slug>/orders/", api.OrderView.as_view(), name="api-orders"),
    path("thanks/<slug:reference>/", views.thanks, name="thanks"),
    path("orders/", views.order_list, name="orders"),
    path("orders/<int:pk>/", views.order_detail, name="order"),
    path("orders/<int:pk>/pay/", views.pay, name="pay"),
    path("orders/<int:pk>/cancel/", views.cancel, name="cancel"),
]
