"""Fields of the core group besides pods, and of events.k8s.io.

Data in the language of `kcm.sandbox.schema.fields`: OpenAPI package, type, fields. Facts of the
Kubernetes API (names, types, list keys), no prose.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "io.k8s.api.core.v1": {
        "Namespace": "object; spec NamespaceSpec; status NamespaceStatus",
        "NamespaceSpec": "finalizers [string]",
        "NamespaceStatus": "conditions [NamespaceCondition] by type; phase string",
        "NamespaceCondition": """
            lastTransitionTime time; message string; reason string; status! string; type! string
        """,
        "Node": "object; spec NodeSpec; status NodeStatus",
        "NodeSpec": """
            configSource NodeConfigSource; externalID string; podCIDR string; podCIDRs [string] merge;
            podPreemptionPolicy NodePodPreemptionPolicy; providerID string; taints [Taint];
            unschedulable bool
        """,
        "NodeConfigSource": "configMap ConfigMapNodeConfigSource",
        "ConfigMapNodeConfigSource": """
            kubeletConfigKey! string; name! string; namespace! string; resourceVersion string;
            uid string
        """,
        "NodePodPreemptionPolicy": "disableResizePreemption [string]",
        "Taint": "effect! string; key! string; timeAdded time; value string",
        "NodeStatus": """
            addresses [NodeAddress] by type; allocatable {quantity}; capacity {quantity};
            conditions [NodeCondition] by type; config NodeConfigStatus;
            daemonEndpoints NodeDaemonEndpoints; declaredFeatures [string]; features NodeFeatures;
            images [ContainerImage]; nodeInfo NodeSystemInfo; phase string;
            runtimeHandlers [NodeRuntimeHandler]; volumesAttached [AttachedVolume];
            volumesInUse [string]
        """,
        "NodeAddress": "address! string; type! string",
        "NodeCondition": """
            lastHeartbeatTime time; lastTransitionTime time; message string; reason string;
            status! string; type! string
        """,
        "NodeConfigStatus": """
            active NodeConfigSource; assigned NodeConfigSource; error string;
            lastKnownGood NodeConfigSource
        """,
        "NodeDaemonEndpoints": "kubeletEndpoint DaemonEndpoint",
        "DaemonEndpoint": "Port! int",
        "NodeFeatures": "supplementalGroupsPolicy bool",
        "ContainerImage": "names [string]; sizeBytes long",
        "NodeSystemInfo": """
            architecture! string; bootID! string; containerRuntimeVersion! string;
            kernelVersion! string; kubeProxyVersion! string; kubeletVersion! string; machineID! string;
            operatingSystem! string; osImage! string; runningInUserNamespace bool; swap NodeSwapStatus;
            systemUUID! string
        """,
        "NodeSwapStatus": "capacity long",
        "NodeRuntimeHandler": "features NodeRuntimeHandlerFeatures; name string",
        "NodeRuntimeHandlerFeatures": "recursiveReadOnlyMounts bool; userNamespaces bool",
        "AttachedVolume": "devicePath! string; name! string",
        "Service": "object; spec ServiceSpec; status ServiceStatus",
        "ServiceSpec": """
            allocateLoadBalancerNodePorts bool; clusterIP string; clusterIPs [string];
            externalIPs [string]; externalName string; externalTrafficPolicy string;
            healthCheckNodePort int; internalTrafficPolicy string; ipFamilies [string];
            ipFamilyPolicy string; loadBalancerClass string; loadBalancerIP string;
            loadBalancerSourceRanges [string]; ports [ServicePort] by port as port,protocol;
            publishNotReadyAddresses bool; selector {string}; sessionAffinity string;
            sessionAffinityConfig SessionAffinityConfig; trafficDistribution string; type string
        """,
        "ServicePort": """
            appProtocol string; name string; nodePort int; port! int; protocol string;
            targetPort intOrString
        """,
        "SessionAffinityConfig": "clientIP ClientIPConfig",
        "ClientIPConfig": "timeoutSeconds int",
        "ServiceStatus": "conditions [Condition] by type; loadBalancer LoadBalancerStatus",
        "LoadBalancerStatus": "ingress [LoadBalancerIngress]",
        "LoadBalancerIngress": "hostname string; ip string; ipMode string; ports [PortStatus]",
        "PortStatus": "error string; port! int; protocol! string",
        "ServiceAccount": """
            object; automountServiceAccountToken bool; imagePullSecrets [LocalObjectReference];
            secrets [ObjectReference] by name
        """,
        "ConfigMap": "object; binaryData {bytes}; data {string}; immutable bool",
        "Secret": "object; data {bytes}; immutable bool; stringData {string}; type string",
        "Endpoints": "object; subsets [EndpointSubset]",
        "EndpointSubset": """
            addresses [EndpointAddress]; notReadyAddresses [EndpointAddress]; ports [EndpointPort]
        """,
        "EndpointAddress": "hostname string; ip! string; nodeName string; targetRef ObjectReference",
        "EndpointPort": "appProtocol string; name string; port! int; protocol string",
        "Event": """
            object; action string; count int; eventTime microTime; firstTimestamp time;
            involvedObject! ObjectReference; lastTimestamp time; message string; reason string;
            related ObjectReference; reportingComponent string; reportingInstance string;
            series EventSeries; source EventSource; type string
        """,
        "EventSeries": "count int; lastObservedTime microTime",
        "EventSource": "component string; host string",
    },
    "io.k8s.api.events.v1": {
        "events.Event": """
            object; action string; deprecatedCount int; deprecatedFirstTimestamp time;
            deprecatedLastTimestamp time; deprecatedSource EventSource; eventTime! microTime;
            note string; reason string; regarding ObjectReference; related ObjectReference;
            reportingController string; reportingInstance string; series events.EventSeries; type string
        """,
        "events.EventSeries": "count! int; lastObservedTime! microTime",
    },
}
