"""Addresses of machines and their owners."""

from __future__ import annotations

from django.urls import path
from rest_framework.routers import SimpleRouter

from inventory.api import deliveries, health, machines, nodes, telemetry, views

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("organisations", views.Organisations, basename="organisation")
router.register("projects", views.Projects, basename="project")
router.register("api-keys", views.ApiKeys, basename="api-key")
router.register("chips", views.Chips, basename="chip")
router.register("journal", views.Journal, basename="journal")
router.register("centres", machines.Centres, basename="centre")
router.register("fabrics", machines.Fabrics, basename="fabric")
router.register("pools", machines.Pools, basename="pool")
router.register("nodes", nodes.Nodes, basename="node")
router.register("manual-tasks", deliveries.ManualTasks, basename="manual-task")
router.register("ssh-keys", deliveries.SshKeys, basename="ssh-key")
router.register("outages", nodes.Outages, basename="outage")
router.register("instances", nodes.Instances, basename="instance")
router.register("external-allocations", nodes.ExternalAllocations, basename="external-allocation")
router.register("health-reports", health.HealthReports, basename="health-report")
router.register("telemetry-sources", telemetry.TelemetrySources, basename="telemetry-source")
router.register("series-bindings", telemetry.SeriesBindings, basename="series-binding")
router.register("fault-rates", health.FaultRates, basename="fault-rate")

urlpatterns = [
    path("me", views.Me.as_view({"get": "retrieve"}), name="me"),
    path(
        "pools/<str:public_id>/nodes/import",
        machines.NodeImport.as_view({"post": "create"}),
        name="pool-nodes-import",
    ),
    *router.urls,
]
