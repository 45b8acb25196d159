"""Fields of autoscaling, policy, coordination, scheduling and authentication.

Data in the language of `kcm.sandbox.schema.fields`: OpenAPI package, type, fields. Facts of the
Kubernetes API (names, field numbers, types, list keys), no prose.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "io.k8s.api.autoscaling.v2": {
        "HorizontalPodAutoscaler": """
            object; spec! 2 HorizontalPodAutoscalerSpec; status 3 HorizontalPodAutoscalerStatus
        """,
        "HorizontalPodAutoscalerSpec": """
            behavior 5 HorizontalPodAutoscalerBehavior; maxReplicas! 3 int; metrics 4 [MetricSpec];
            minReplicas? 2 int; scaleTargetRef! 1 CrossVersionObjectReference
        """,
        "HorizontalPodAutoscalerBehavior": "scaleDown 2 HPAScalingRules; scaleUp 1 HPAScalingRules",
        "HPAScalingRules": """
            policies? 2 [HPAScalingPolicy]; selectPolicy? 1 string; stabilizationWindowSeconds? 3 int;
            tolerance? 4 quantity
        """,
        "HPAScalingPolicy": "periodSeconds! 3 int; type! 1 string; value! 2 int",
        "MetricSpec": """
            containerResource 7 ContainerResourceMetricSource; external 5 ExternalMetricSource;
            object 2 ObjectMetricSource; pods 3 PodsMetricSource; resource 4 ResourceMetricSource;
            type! 1 string
        """,
        "ContainerResourceMetricSource": "container! 3 string; name! 1 string; target! 2 MetricTarget",
        "MetricTarget": """
            averageUtilization? 4 int; averageValue? 3 quantity; type! 1 string; value? 2 quantity
        """,
        "ExternalMetricSource": "metric! 1 MetricIdentifier; target! 2 MetricTarget",
        "MetricIdentifier": "name! 1 string; selector 2 LabelSelector",
        "ObjectMetricSource": """
            describedObject! 1 CrossVersionObjectReference; metric! 3 MetricIdentifier; target! 2 MetricTarget
        """,
        "CrossVersionObjectReference": "apiVersion 3 string; kind! 1 string; name! 2 string",
        "PodsMetricSource": "metric! 1 MetricIdentifier; target! 2 MetricTarget",
        "ResourceMetricSource": "name! 1 string; target! 2 MetricTarget",
        "HorizontalPodAutoscalerStatus": """
            conditions 6 [HorizontalPodAutoscalerCondition] by type; currentMetrics 5 [MetricStatus];
            currentReplicas 3 int; desiredReplicas! 4 int; lastScaleTime? 2 time; observedGeneration? 1 long
        """,
        "HorizontalPodAutoscalerCondition": """
            lastTransitionTime 3 time; message 5 string; observedGeneration? 6 long; reason 4 string;
            status! 2 string; type! 1 string
        """,
        "MetricStatus": """
            containerResource 7 ContainerResourceMetricStatus; external 5 ExternalMetricStatus;
            object 2 ObjectMetricStatus; pods 3 PodsMetricStatus; resource 4 ResourceMetricStatus;
            type! 1 string
        """,
        "ContainerResourceMetricStatus": "container! 3 string; current! 2 MetricValueStatus; name! 1 string",
        "MetricValueStatus": "averageUtilization? 3 int; averageValue? 2 quantity; value? 1 quantity",
        "ExternalMetricStatus": "current! 2 MetricValueStatus; metric! 1 MetricIdentifier",
        "ObjectMetricStatus": """
            current! 2 MetricValueStatus; describedObject! 3 CrossVersionObjectReference;
            metric! 1 MetricIdentifier
        """,
        "PodsMetricStatus": "current! 2 MetricValueStatus; metric! 1 MetricIdentifier",
        "ResourceMetricStatus": "current! 2 MetricValueStatus; name! 1 string",
    },
    "io.k8s.api.autoscaling.v1": {
        "v1.HorizontalPodAutoscaler": """
            object; spec 2 v1.HorizontalPodAutoscalerSpec; status 3 v1.HorizontalPodAutoscalerStatus
        """,
        "v1.HorizontalPodAutoscalerSpec": """
            maxReplicas! 3 int; minReplicas? 2 int; scaleTargetRef! 1 v1.CrossVersionObjectReference;
            targetCPUUtilizationPercentage? 4 int
        """,
        "v1.CrossVersionObjectReference": "apiVersion 3 string; kind! 1 string; name! 2 string",
        "v1.HorizontalPodAutoscalerStatus": """
            currentCPUUtilizationPercentage? 5 int; currentReplicas! 3 int; desiredReplicas! 4 int;
            lastScaleTime? 2 time; observedGeneration? 1 long
        """,
        "Scale": "object; spec 2 ScaleSpec; status 3 ScaleStatus",
        "ScaleSpec": "replicas 1 int",
        "ScaleStatus": "replicas! 1 int; selector 2 string",
    },
    "io.k8s.api.policy.v1": {
        "PodDisruptionBudget": "object; spec 2 PodDisruptionBudgetSpec; status 3 PodDisruptionBudgetStatus",
        "PodDisruptionBudgetSpec": """
            maxUnavailable? 3 intOrString; minAvailable? 1 intOrString; selector 2 LabelSelector replace;
            unhealthyPodEvictionPolicy? 4 string
        """,
        "PodDisruptionBudgetStatus": """
            conditions 7 [Condition] by type; currentHealthy 4 int; desiredHealthy 5 int;
            disruptedPods 2 {time}; disruptionsAllowed 3 int; expectedPods 6 int; observedGeneration 1 long
        """,
        "Eviction": "object; deleteOptions 2 DeleteOptions",
    },
    "io.k8s.api.coordination.v1": {
        "Lease": "object; spec 2 LeaseSpec",
        "LeaseSpec": """
            acquireTime? 3 microTime; holderIdentity? 1 string; leaseDurationSeconds? 2 int;
            leaseTransitions? 5 int; preferredHolder? 7 string; renewTime? 4 microTime; strategy? 6 string
        """,
    },
    "io.k8s.api.scheduling.v1": {
        "PriorityClass": """
            object; description 4 string; globalDefault 3 bool; preemptionPolicy? 5 string; value! 2 int
        """,
    },
    "io.k8s.api.authentication.v1": {
        "TokenRequest": "object; spec 2 TokenRequestSpec; status 3 TokenRequestStatus",
        "TokenRequestSpec": """
            attestations {[string]}; audiences 1 [string]; boundObjectRef 3 BoundObjectReference;
            expirationSeconds? 4 long
        """,
        "BoundObjectReference": "apiVersion 2 string; kind 1 string; name 3 string; uid 4 string",
        "TokenRequestStatus": "expirationTimestamp 2 time; token 1 string",
    },
}
