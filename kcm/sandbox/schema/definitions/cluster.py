"""Fields of the core group besides pods, and of events.k8s.io.

Data in the language of `kcm.sandbox.schema.fields`: OpenAPI package, type, fields. Facts of the
Kubernetes API (names, field numbers, types, list keys), no prose.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "io.k8s.api.core.v1": {
        "Namespace": "object; spec 2 NamespaceSpec; status 3 NamespaceStatus",
        "NamespaceSpec": "finalizers 1 [string]",
        "NamespaceStatus": "conditions 2 [NamespaceCondition] by type; phase 1 string",
        "NamespaceCondition": """
            lastTransitionTime 4 time; message 6 string; reason 5 string; status! 2 string; type! 1 string
        """,
        "Node": "object; spec 2 NodeSpec; status 3 NodeStatus",
        "NodeSpec": """
            configSource 6 NodeConfigSource; externalID 2 string; podCIDR 1 string; podCIDRs 7 [string] merge;
            podPreemptionPolicy 8 NodePodPreemptionPolicy; providerID 3 string; taints 5 [Taint];
            unschedulable 4 bool
        """,
        "NodeConfigSource": "configMap 2 ConfigMapNodeConfigSource",
        "ConfigMapNodeConfigSource": """
            kubeletConfigKey! 5 string; name! 2 string; namespace! 1 string; resourceVersion 4 string;
            uid 3 string
        """,
        "NodePodPreemptionPolicy": "disableResizePreemption 1 [string]",
        "Taint": "effect! 3 string; key! 1 string; timeAdded? 4 time; value 2 string",
        "NodeStatus": """
            addresses 5 [NodeAddress] by type; allocatable 2 {quantity}; capacity 1 {quantity};
            conditions 4 [NodeCondition] by type; config 11 NodeConfigStatus;
            daemonEndpoints 6 NodeDaemonEndpoints; declaredFeatures 14 [string]; features 13 NodeFeatures;
            images 8 [ContainerImage]; nodeInfo 7 NodeSystemInfo; phase 3 string;
            runtimeHandlers 12 [NodeRuntimeHandler]; volumesAttached 10 [AttachedVolume];
            volumesInUse 9 [string]
        """,
        "NodeAddress": "address! 2 string; type! 1 string",
        "NodeCondition": """
            lastHeartbeatTime 3 time; lastTransitionTime 4 time; message 6 string; reason 5 string;
            status! 2 string; type! 1 string
        """,
        "NodeConfigStatus": """
            active 2 NodeConfigSource; assigned 1 NodeConfigSource; error 4 string;
            lastKnownGood 3 NodeConfigSource
        """,
        "NodeDaemonEndpoints": "kubeletEndpoint 1 DaemonEndpoint",
        "DaemonEndpoint": "Port! 1 int",
        "NodeFeatures": "supplementalGroupsPolicy? 1 bool",
        "ContainerImage": "names 1 [string]; sizeBytes 2 long",
        "NodeSystemInfo": """
            architecture! 10 string; bootID! 3 string; containerRuntimeVersion! 6 string;
            kernelVersion! 4 string; kubeProxyVersion! 8 string; kubeletVersion! 7 string;
            machineID! 1 string; operatingSystem! 9 string; osImage! 5 string; runningInUserNamespace bool;
            swap 11 NodeSwapStatus; systemUUID! 2 string
        """,
        "NodeSwapStatus": "capacity? 1 long",
        "NodeRuntimeHandler": "features 2 NodeRuntimeHandlerFeatures; name 1 string",
        "NodeRuntimeHandlerFeatures": "recursiveReadOnlyMounts? 1 bool; userNamespaces? 2 bool",
        "AttachedVolume": "devicePath! 2 string; name! 1 string",
        "Service": "object; spec 2 ServiceSpec; status 3 ServiceStatus",
        "ServiceSpec": """
            allocateLoadBalancerNodePorts? 20 bool; clusterIP 3 string; clusterIPs 18 [string];
            externalIPs 5 [string]; externalName 10 string; externalTrafficPolicy 11 string;
            healthCheckNodePort 12 int; internalTrafficPolicy? 22 string; ipFamilies 19 [string];
            ipFamilyPolicy? 17 string; loadBalancerClass? 21 string; loadBalancerIP 8 string;
            loadBalancerSourceRanges 9 [string]; ports 1 [ServicePort] by port as port,protocol;
            publishNotReadyAddresses 13 bool; selector 2 {string}; sessionAffinity 7 string;
            sessionAffinityConfig 14 SessionAffinityConfig; trafficDistribution? 23 string; type 4 string
        """,
        "ServicePort": """
            appProtocol? 6 string; name 1 string; nodePort 5 int; port! 3 int; protocol 2 string;
            targetPort 4 intOrString
        """,
        "SessionAffinityConfig": "clientIP 1 ClientIPConfig",
        "ClientIPConfig": "timeoutSeconds? 1 int",
        "ServiceStatus": "conditions 2 [Condition] by type; loadBalancer 1 LoadBalancerStatus",
        "LoadBalancerStatus": "ingress 1 [LoadBalancerIngress]",
        "LoadBalancerIngress": "hostname 2 string; ip 1 string; ipMode? 3 string; ports 4 [PortStatus]",
        "PortStatus": "error? 3 string; port! 1 int; protocol! 2 string",
        "ServiceAccount": """
            object; automountServiceAccountToken? 4 bool; imagePullSecrets 3 [LocalObjectReference];
            secrets 2 [ObjectReference] by name
        """,
        "ConfigMap": "object; binaryData 3 {bytes}; data 2 {string}; immutable? 4 bool",
        "Secret": "object; data 2 {bytes}; immutable? 5 bool; stringData 4 {string}; type 3 string",
        "Endpoints": "object; subsets 2 [EndpointSubset]",
        "EndpointSubset": """
            addresses 1 [EndpointAddress]; notReadyAddresses 2 [EndpointAddress]; ports 3 [EndpointPort]
        """,
        "EndpointAddress": "hostname 3 string; ip! 1 string; nodeName? 4 string; targetRef 2 ObjectReference",
        "EndpointPort": "appProtocol? 4 string; name 1 string; port! 2 int; protocol 3 string",
        "Event": """
            object; action 12 string; count 8 int; eventTime 10 microTime; firstTimestamp 6 time;
            involvedObject! 2 ObjectReference; lastTimestamp 7 time; message 4 string; reason 3 string;
            related 13 ObjectReference; reportingComponent 14 string; reportingInstance 15 string;
            series 11 EventSeries; source 5 EventSource; type 9 string
        """,
        "EventSeries": "count 1 int; lastObservedTime 2 microTime",
        "EventSource": "component 1 string; host 2 string",
    },
    "io.k8s.api.events.v1": {
        "events.Event": """
            object; action 6 string; deprecatedCount 15 int; deprecatedFirstTimestamp 13 time;
            deprecatedLastTimestamp 14 time; deprecatedSource 12 EventSource; eventTime! 2 microTime;
            note 10 string; reason 7 string; regarding 8 ObjectReference; related 9 ObjectReference;
            reportingController 4 string; reportingInstance 5 string; series 3 events.EventSeries;
            type 11 string
        """,
        "events.EventSeries": "count! 1 int; lastObservedTime! 2 microTime",
    },
}
