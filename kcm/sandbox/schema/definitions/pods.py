"""Fields of pods, containers and their status.

Data in the language of `kcm.sandbox.schema.fields`: OpenAPI package, type, fields. Facts of the
Kubernetes API (names, field numbers, types, list keys), no prose.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "io.k8s.api.core.v1": {
        "PodTemplateSpec": "metadata 1 ObjectMeta; spec 2 PodSpec",
        "PodSpec": """
            activeDeadlineSeconds? 5 long; affinity 18 Affinity; automountServiceAccountToken? 21 bool;
            containers! 2 [Container] by name; dnsConfig 26 PodDNSConfig; dnsPolicy 6 string;
            enableServiceLinks? 30 bool; ephemeralContainers 34 [EphemeralContainer] by name;
            hostAliases 23 [HostAlias] by ip; hostIPC 13 bool; hostNetwork 11 bool; hostPID 12 bool;
            hostUsers? 37 bool; hostname 16 string; hostnameOverride? 41 string;
            imagePullSecrets 15 [LocalObjectReference] by name; initContainers 20 [Container] by name;
            nodeName 10 string; nodeSelector 7 {string}; os 36 PodOS; overhead 32 {quantity};
            preemptionPolicy? 31 string; priority? 25 int; priorityClassName 24 string;
            readinessGates 28 [PodReadinessGate]; resourceClaims 39 [PodResourceClaim] by name retainKeys;
            resources 40 ResourceRequirements; restartPolicy 3 string; runtimeClassName? 29 string;
            schedulerName 19 string; schedulingGates 38 [PodSchedulingGate] by name;
            schedulingGroup 43 PodSchedulingGroup; securityContext 14 PodSecurityContext;
            serviceAccount 9 string; serviceAccountName 8 string; setHostnameAsFQDN? 35 bool;
            shareProcessNamespace? 27 bool; subdomain 17 string; terminationGracePeriodSeconds? 4 long;
            tolerations 22 [Toleration];
            topologySpreadConstraints 33 [TopologySpreadConstraint]
                by topologyKey as topologyKey,whenUnsatisfiable;
            volumes 1 [Volume] by name retainKeys
        """,
        "Affinity": """
            nodeAffinity 1 NodeAffinity; podAffinity 2 PodAffinity; podAntiAffinity 3 PodAntiAffinity
        """,
        "NodeAffinity": """
            preferredDuringSchedulingIgnoredDuringExecution 2 [PreferredSchedulingTerm];
            requiredDuringSchedulingIgnoredDuringExecution 1 NodeSelector
        """,
        "PreferredSchedulingTerm": "preference! 2 NodeSelectorTerm; weight! 1 int",
        "NodeSelectorTerm": """
            matchExpressions 1 [NodeSelectorRequirement]; matchFields 2 [NodeSelectorRequirement]
        """,
        "NodeSelectorRequirement": "key! 1 string; operator! 2 string; values 3 [string]",
        "NodeSelector": "nodeSelectorTerms! 1 [NodeSelectorTerm]",
        "PodAffinity": """
            preferredDuringSchedulingIgnoredDuringExecution 2 [WeightedPodAffinityTerm];
            requiredDuringSchedulingIgnoredDuringExecution 1 [PodAffinityTerm]
        """,
        "WeightedPodAffinityTerm": "podAffinityTerm! 2 PodAffinityTerm; weight! 1 int",
        "PodAffinityTerm": """
            labelSelector 1 LabelSelector; matchLabelKeys 5 [string]; mismatchLabelKeys 6 [string];
            namespaceSelector 4 LabelSelector; namespaces 2 [string]; topologyKey! 3 string
        """,
        "PodAntiAffinity": """
            preferredDuringSchedulingIgnoredDuringExecution 2 [WeightedPodAffinityTerm];
            requiredDuringSchedulingIgnoredDuringExecution 1 [PodAffinityTerm]
        """,
        "Container": """
            args 4 [string]; command 3 [string]; env 7 [EnvVar] by name; envFrom 19 [EnvFromSource];
            image 2 string; imagePullPolicy 14 string; lifecycle 12 Lifecycle; livenessProbe 10 Probe;
            name! 1 string; ports 6 [ContainerPort] by containerPort as containerPort,protocol;
            readinessProbe 11 Probe; resizePolicy 23 [ContainerResizePolicy];
            resources 8 ResourceRequirements; restartPolicy? 24 string;
            restartPolicyRules 25 [ContainerRestartRule]; securityContext 15 SecurityContext;
            startupProbe 22 Probe; stdin 16 bool; stdinOnce 17 bool; terminationMessagePath 13 string;
            terminationMessagePolicy 20 string; tty 18 bool; volumeDevices 21 [VolumeDevice] by devicePath;
            volumeMounts 9 [VolumeMount] by mountPath; workingDir 5 string
        """,
        "EnvVar": "name! 1 string; value 2 string; valueFrom 3 EnvVarSource",
        "EnvVarSource": """
            configMapKeyRef 3 ConfigMapKeySelector; fieldRef 1 ObjectFieldSelector;
            fileKeyRef 5 FileKeySelector; resourceFieldRef 2 ResourceFieldSelector;
            secretKeyRef 4 SecretKeySelector
        """,
        "ConfigMapKeySelector": "key! 2 string; name 1.1 string; optional? 3 bool",
        "FileKeySelector": "key! 3 string; optional? 4 bool; path! 2 string; volumeName! 1 string",
        "SecretKeySelector": "key! 2 string; name 1.1 string; optional? 3 bool",
        "EnvFromSource": "configMapRef 2 ConfigMapEnvSource; prefix 1 string; secretRef 3 SecretEnvSource",
        "ConfigMapEnvSource": "name 1.1 string; optional? 2 bool",
        "SecretEnvSource": "name 1.1 string; optional? 2 bool",
        "Lifecycle": "postStart 1 LifecycleHandler; preStop 2 LifecycleHandler; stopSignal? 3 string",
        "LifecycleHandler": """
            exec 1 ExecAction; httpGet 2 HTTPGetAction; sleep 4 SleepAction; tcpSocket 3 TCPSocketAction
        """,
        "ExecAction": "command 1 [string]",
        "HTTPGetAction": """
            host 3 string; httpHeaders 5 [HTTPHeader]; path 1 string; port! 2 intOrString; scheme 4 string
        """,
        "HTTPHeader": "name! 1 string; value! 2 string",
        "SleepAction": "seconds! 1 long",
        "TCPSocketAction": "host 2 string; port! 1 intOrString",
        "Probe": """
            exec 1.1 ExecAction; failureThreshold 6 int; grpc 1.4 GRPCAction; httpGet 1.2 HTTPGetAction;
            initialDelaySeconds 2 int; periodSeconds 4 int; successThreshold 5 int;
            tcpSocket 1.3 TCPSocketAction; terminationGracePeriodSeconds? 7 long; timeoutSeconds 3 int
        """,
        "GRPCAction": "port! 1 int; service? 2 string",
        "ContainerPort": """
            containerPort! 3 int; hostIP 5 string; hostPort 2 int; name 1 string; protocol 4 string
        """,
        "ContainerResizePolicy": "resourceName! 1 string; restartPolicy! 2 string",
        "ResourceRequirements": """
            claims 3 [ResourceClaim] as name; limits 1 {quantity}; requests 2 {quantity}
        """,
        "ResourceClaim": "name! 1 string; request 2 string",
        "ContainerRestartRule": "action! 1 string; exitCodes 2 ContainerRestartRuleOnExitCodes",
        "ContainerRestartRuleOnExitCodes": "operator! 1 string; values 2 [int]",
        "SecurityContext": """
            allowPrivilegeEscalation? 7 bool; appArmorProfile 12 AppArmorProfile; capabilities 1 Capabilities;
            privileged? 2 bool; procMount? 9 string; readOnlyRootFilesystem? 6 bool; runAsGroup? 8 long;
            runAsNonRoot? 5 bool; runAsUser? 4 long; seLinuxOptions 3 SELinuxOptions;
            seccompProfile 11 SeccompProfile; windowsOptions 10 WindowsSecurityContextOptions
        """,
        "AppArmorProfile": "localhostProfile? 2 string; type! 1 string",
        "Capabilities": "add 1 [string]; drop 2 [string]",
        "SELinuxOptions": "level 4 string; role 2 string; type 3 string; user 1 string",
        "SeccompProfile": "localhostProfile? 2 string; type! 1 string",
        "WindowsSecurityContextOptions": """
            gmsaCredentialSpec? 2 string; gmsaCredentialSpecName? 1 string; hostProcess? 4 bool;
            runAsUserName? 3 string
        """,
        "VolumeDevice": "devicePath! 2 string; name! 1 string",
        "VolumeMount": """
            bindMountOptions 8 [string]; mountPath! 3 string; mountPropagation? 5 string; name! 1 string;
            readOnly 2 bool; recursiveReadOnly? 7 string; subPath 4 string; subPathExpr 6 string
        """,
        "PodDNSConfig": "nameservers 1 [string]; options 3 [PodDNSConfigOption]; searches 2 [string]",
        "PodDNSConfigOption": "name 1 string; value? 2 string",
        "EphemeralContainer": """
            args 1.4 [string]; command 1.3 [string]; env 1.7 [EnvVar] by name; envFrom 1.19 [EnvFromSource];
            image 1.2 string; imagePullPolicy 1.14 string; lifecycle 1.12 Lifecycle; livenessProbe 1.10 Probe;
            name! 1.1 string; ports 1.6 [ContainerPort] by containerPort as containerPort,protocol;
            readinessProbe 1.11 Probe; resizePolicy 1.23 [ContainerResizePolicy];
            resources 1.8 ResourceRequirements; restartPolicy? 1.24 string;
            restartPolicyRules 1.25 [ContainerRestartRule]; securityContext 1.15 SecurityContext;
            startupProbe 1.22 Probe; stdin 1.16 bool; stdinOnce 1.17 bool; targetContainerName 2 string;
            terminationMessagePath 1.13 string; terminationMessagePolicy 1.20 string; tty 1.18 bool;
            volumeDevices 1.21 [VolumeDevice] by devicePath; volumeMounts 1.9 [VolumeMount] by mountPath;
            workingDir 1.5 string
        """,
        "HostAlias": "hostnames 2 [string]; ip! 1 string",
        "PodOS": "name! 1 string",
        "PodReadinessGate": "conditionType! 1 string",
        "PodResourceClaim": """
            name! 1 string; resourceClaimName? 3 string; resourceClaimTemplateName? 4 string
        """,
        "PodSchedulingGate": "name! 1 string",
        "PodSchedulingGroup": "podGroupName? 1 string",
        "PodSecurityContext": """
            appArmorProfile 11 AppArmorProfile; fsGroup? 5 long; fsGroupChangePolicy? 9 string;
            runAsGroup? 6 long; runAsNonRoot? 3 bool; runAsUser? 2 long; seLinuxChangePolicy? 13 string;
            seLinuxOptions 1 SELinuxOptions; seccompProfile 10 SeccompProfile; supplementalGroups 4 [long];
            supplementalGroupsPolicy? 12 string; sysctls 7 [Sysctl];
            windowsOptions 8 WindowsSecurityContextOptions
        """,
        "Sysctl": "name! 1 string; value! 2 string",
        "Toleration": """
            effect 4 string; key 1 string; operator 2 string; tolerationSeconds? 5 long; value 3 string
        """,
        "TopologySpreadConstraint": """
            labelSelector 4 LabelSelector; matchLabelKeys 8 [string]; maxSkew! 1 int; minDomains? 5 int;
            nodeAffinityPolicy? 6 string; nodeTaintsPolicy? 7 string; topologyKey! 2 string;
            whenUnsatisfiable! 3 string
        """,
        "Pod": "object; spec 2 PodSpec; status 3 PodStatus",
        "PodStatus": """
            allocatedResources 19 {quantity}; conditions 2 [PodCondition] by type;
            containerStatuses 8 [ContainerStatus]; ephemeralContainerStatuses 13 [ContainerStatus];
            extendedResourceClaimStatus 18 PodExtendedResourceClaimStatus; hostIP 5 string;
            hostIPs 16 [HostIP] by ip; initContainerStatuses 10 [ContainerStatus]; message 3 string;
            nodeAllocatableResourceClaimStatuses 21 [NodeAllocatableResourceClaimStatus];
            nominatedNodeName 11 string; observedGeneration 17 long; phase 1 string; podIP 6 string;
            podIPs 12 [PodIP] by ip; qosClass 9 string; reason 4 string; resize 14 string;
            resourceClaimStatuses 15 [PodResourceClaimStatus] by name retainKeys;
            resources 20 ResourceRequirements; startTime? 7 time
        """,
        "PodCondition": """
            lastProbeTime 3 time; lastTransitionTime 4 time; message 6 string; observedGeneration 7 long;
            reason 5 string; status! 2 string; type! 1 string
        """,
        "ContainerStatus": """
            allocatedResources 10 {quantity}; allocatedResourcesStatus 14 [ResourceStatus];
            containerID 8 string; image! 6 string; imageID! 7 string; lastState 3 ContainerState;
            name! 1 string; ready! 4 bool; resources 11 ResourceRequirements; restartCount! 5 int;
            started? 9 bool; state 2 ContainerState; stopSignal? 15 string; user 13 ContainerUser;
            volumeMounts 12 [VolumeMountStatus] by mountPath
        """,
        "ResourceStatus": "name! 1 string; resources 2 [ResourceHealth]",
        "ResourceHealth": "health 2 string; message? 6 string; resourceID! 1 string",
        "ContainerState": """
            running 2 ContainerStateRunning; terminated 3 ContainerStateTerminated;
            waiting 1 ContainerStateWaiting
        """,
        "ContainerStateRunning": "startedAt 1 time",
        "ContainerStateTerminated": """
            containerID 7 string; exitCode! 1 int; finishedAt 6 time; message 4 string; reason 3 string;
            signal 2 int; startedAt 5 time
        """,
        "ContainerStateWaiting": "message 2 string; reason 1 string",
        "ContainerUser": "linux 1 LinuxContainerUser",
        "LinuxContainerUser": "gid! 2 long; supplementalGroups 3 [long]; uid! 1 long",
        "VolumeMountStatus": """
            mountPath! 2 string; name! 1 string; readOnly 3 bool; recursiveReadOnly? 4 string;
            volumeStatus 5 VolumeStatus
        """,
        "VolumeStatus": "image 1 ImageVolumeStatus",
        "ImageVolumeStatus": "imageRef! 1 string",
        "PodExtendedResourceClaimStatus": """
            requestMappings! 1 [ContainerExtendedResourceRequest]; resourceClaimName! 2 string
        """,
        "ContainerExtendedResourceRequest": """
            containerName! 1 string; requestName! 3 string; resourceName! 2 string
        """,
        "HostIP": "ip! 1 string",
        "NodeAllocatableResourceClaimStatus": """
            containers 2 [string]; mapping 4 [NodeAllocatableMappedResources];
            overhead 5 [NodeAllocatableOverheadResources]; resourceClaimName! 1 string
        """,
        "NodeAllocatableMappedResources": "name! 1 string; quantity! string",
        "NodeAllocatableOverheadResources": "name! 1 string; perContainer string; perPod string",
        "PodIP": "ip! 1 string",
        "PodResourceClaimStatus": "name! 1 string; resourceClaimName? 2 string",
        "Binding": "object; target! 2 ObjectReference",
        "ObjectReference": """
            apiVersion 5 string; fieldPath 7 string; kind 1 string; name 3 string; namespace 2 string;
            resourceVersion 6 string; uid 4 string
        """,
    },
}
