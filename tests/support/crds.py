"""The objects of KEDA and of the Prometheus operator that the chart makes, as their references have them.

Only the fields that it uses, so that one of any other name is refused: the operators' own schemas are in
no package that runs here. https://keda.sh/docs/2.18/reference/scaledobject-spec/ and .../scalers/prometheus/;
https://prometheus-operator.dev/docs/api-reference/api/
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PromQL = Annotated[str, Field(min_length=1)]
Duration = Annotated[str, Field(pattern=r"^(0|([0-9]+(ms|[smhdwy]))+)$")]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(Strict):
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", max_length=63)]
    namespace: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str] = {}


class Named(Strict):
    name: str


class Fallback(Strict):
    failureThreshold: Annotated[int, Field(ge=0)]  # noqa: N815
    replicas: Annotated[int, Field(ge=0)]
    behavior: Literal[
        "static", "currentReplicas", "currentReplicasIfHigher", "currentReplicasIfLower"
    ]


class Policy(Strict):
    type: Literal["Pods", "Percent"]
    value: Annotated[int, Field(gt=0)]
    periodSeconds: Annotated[int, Field(gt=0, le=1800)]  # noqa: N815


class Rules(Strict):
    stabilizationWindowSeconds: Annotated[int, Field(ge=0, le=3600)] | None = None  # noqa: N815
    policies: Annotated[list[Policy], Field(min_length=1)]


class Behavior(Strict):
    scaleUp: Rules  # noqa: N815
    scaleDown: Rules  # noqa: N815


class Autoscaler(Strict):
    behavior: Behavior


class Advanced(Strict):
    horizontalPodAutoscalerConfig: Autoscaler  # noqa: N815


class PrometheusMetadata(Strict):
    """A scaler's parameters are strings, whatever they say."""

    serverAddress: Annotated[str, Field(pattern="^https?://")]  # noqa: N815
    query: PromQL
    threshold: Annotated[str, Field(pattern=r"^[0-9.]+$")]
    ignoreNullValues: Literal["true", "false"]  # noqa: N815
    authModes: str | None = None  # noqa: N815


class Trigger(Strict):
    type: Literal["prometheus"]
    name: str
    metricType: Literal["AverageValue", "Value"]  # noqa: N815
    metadata: PrometheusMetadata
    authenticationRef: Named | None = None  # noqa: N815


class ScaledObjectSpec(Strict):
    scaleTargetRef: Named  # noqa: N815
    minReplicaCount: Annotated[int, Field(ge=0)]  # noqa: N815
    maxReplicaCount: Annotated[int, Field(ge=1)]  # noqa: N815
    pollingInterval: Annotated[int, Field(ge=1)]  # noqa: N815
    cooldownPeriod: Annotated[int, Field(ge=0)]  # noqa: N815
    fallback: Fallback
    advanced: Advanced
    triggers: Annotated[list[Trigger], Field(min_length=1)]


class ScaledObject(Strict):
    apiVersion: Literal["keda.sh/v1alpha1"]  # noqa: N815
    kind: Literal["ScaledObject"]
    metadata: Metadata
    spec: ScaledObjectSpec


class Selector(Strict):
    matchLabels: Mapping[str, str]  # noqa: N815


class Relabeling(Strict):
    targetLabel: str  # noqa: N815
    replacement: str


class Endpoint(Strict):
    port: str
    path: Annotated[str, Field(pattern="^/")]
    interval: Duration
    relabelings: list[Relabeling]


class ServiceMonitorSpec(Strict):
    selector: Selector
    endpoints: Annotated[list[Endpoint], Field(min_length=1)]


class ServiceMonitor(Strict):
    apiVersion: Literal["monitoring.coreos.com/v1"]  # noqa: N815
    kind: Literal["ServiceMonitor"]
    metadata: Metadata
    spec: ServiceMonitorSpec


class Rule(Strict):
    alert: str | None = None
    record: str | None = None
    expr: PromQL
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    keep_firing_for: Duration | None = None
    waits: Annotated[Duration | None, Field(alias="for")] = None


class Group(Strict):
    name: str
    interval: Duration | None = None
    limit: int | None = None
    labels: Mapping[str, str] = {}
    rules: list[Rule]


class PrometheusRuleSpec(Strict):
    groups: list[Group]


class PrometheusRule(Strict):
    apiVersion: Literal["monitoring.coreos.com/v1"]  # noqa: N815
    kind: Literal["PrometheusRule"]
    metadata: Metadata
    spec: PrometheusRuleSpec


KINDS: Mapping[str, type[Strict]] = {
    "ScaledObject": ScaledObject,
    "ServiceMonitor": ServiceMonitor,
    "PrometheusRule": PrometheusRule,
}


def check(found: Mapping[str, Any]) -> None:
    """Raises ValidationError."""
    KINDS[found["kind"]].model_validate(dict(found))
