"""Fields of autoscaling, policy, coordination and authentication.

Data in the language of `kcm.sandbox.schema.fields`: OpenAPI package, type, fields. Facts of the
Kubernetes API (names, types, list keys), no prose.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "io.k8s.api.autoscaling.v2": {
        "HorizontalPodAutoscaler": """
            object; spec! HorizontalPodAutoscalerSpec; status HorizontalPodAutoscalerStatus
        """,
        "HorizontalPodAutoscalerSpec": """
            behavior HorizontalPodAutoscalerBehavior; maxReplicas! int; metrics [MetricSpec];
            minReplicas int; scaleTargetRef! CrossVersionObjectReference
        """,
        "HorizontalPodAutoscalerBehavior": "scaleDown HPAScalingRules; scaleUp HPAScalingRules",
        "HPAScalingRules": """
            policies [HPAScalingPolicy]; selectPolicy string; stabilizationWindowSeconds int;
            tolerance quantity
        """,
        "HPAScalingPolicy": "periodSeconds! int; type! string; value! int",
        "MetricSpec": """
            containerResource ContainerResourceMetricSource; external ExternalMetricSource;
            object ObjectMetricSource; pods PodsMetricSource; resource ResourceMetricSource;
            type! string
        """,
        "ContainerResourceMetricSource": "container! string; name! string; target! MetricTarget",
        "MetricTarget": "averageUtilization int; averageValue quantity; type! string; value quantity",
        "ExternalMetricSource": "metric! MetricIdentifier; target! MetricTarget",
        "MetricIdentifier": "name! string; selector LabelSelector",
        "ObjectMetricSource": """
            describedObject! CrossVersionObjectReference; metric! MetricIdentifier; target! MetricTarget
        """,
        "CrossVersionObjectReference": "apiVersion string; kind! string; name! string",
        "PodsMetricSource": "metric! MetricIdentifier; target! MetricTarget",
        "ResourceMetricSource": "name! string; target! MetricTarget",
        "HorizontalPodAutoscalerStatus": """
            conditions [HorizontalPodAutoscalerCondition] by type; currentMetrics [MetricStatus];
            currentReplicas int; desiredReplicas! int; lastScaleTime time; observedGeneration long
        """,
        "HorizontalPodAutoscalerCondition": """
            lastTransitionTime time; message string; observedGeneration long; reason string;
            status! string; type! string
        """,
        "MetricStatus": """
            containerResource ContainerResourceMetricStatus; external ExternalMetricStatus;
            object ObjectMetricStatus; pods PodsMetricStatus; resource ResourceMetricStatus;
            type! string
        """,
        "ContainerResourceMetricStatus": "container! string; current! MetricValueStatus; name! string",
        "MetricValueStatus": "averageUtilization int; averageValue quantity; value quantity",
        "ExternalMetricStatus": "current! MetricValueStatus; metric! MetricIdentifier",
        "ObjectMetricStatus": """
            current! MetricValueStatus; describedObject! CrossVersionObjectReference;
            metric! MetricIdentifier
        """,
        "PodsMetricStatus": "current! MetricValueStatus; metric! MetricIdentifier",
        "ResourceMetricStatus": "current! MetricValueStatus; name! string",
    },
    "io.k8s.api.autoscaling.v1": {
        "Scale": "object; spec ScaleSpec; status ScaleStatus",
        "ScaleSpec": "replicas int",
        "ScaleStatus": "replicas! int; selector string",
    },
    "io.k8s.api.policy.v1": {
        "PodDisruptionBudget": "object; spec PodDisruptionBudgetSpec; status PodDisruptionBudgetStatus",
        "PodDisruptionBudgetSpec": """
            maxUnavailable intOrString; minAvailable intOrString; selector LabelSelector replace;
            unhealthyPodEvictionPolicy string
        """,
        "PodDisruptionBudgetStatus": """
            conditions [Condition] by type; currentHealthy int; desiredHealthy int;
            disruptedPods {time}; disruptionsAllowed int; expectedPods int; observedGeneration long
        """,
        "Eviction": "object; deleteOptions DeleteOptions",
    },
    "io.k8s.api.coordination.v1": {
        "Lease": "object; spec LeaseSpec",
        "LeaseSpec": """
            acquireTime microTime; holderIdentity string; leaseDurationSeconds int;
            leaseTransitions int; preferredHolder string; renewTime microTime; strategy string
        """,
    },
    "io.k8s.api.authentication.v1": {
        "TokenRequest": "object; spec TokenRequestSpec; status TokenRequestStatus",
        "TokenRequestSpec": """
            attestations {[string]}; audiences [string]; boundObjectRef BoundObjectReference;
            expirationSeconds long
        """,
        "BoundObjectReference": "apiVersion string; kind string; name string; uid string",
        "TokenRequestStatus": "expirationTimestamp time; token string",
    },
}
