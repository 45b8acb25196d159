"""Fields of pods, containers and their status.

Data in the language of `kcm.sandbox.schema.fields`: OpenAPI package, type, fields. Facts of the
Kubernetes API (names, types, list keys), no prose.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "io.k8s.api.core.v1": {
        "PodTemplateSpec": "metadata ObjectMeta; spec PodSpec",
        "PodSpec": """
            activeDeadlineSeconds long; affinity Affinity; automountServiceAccountToken bool;
            containers! [Container] by name; dnsConfig PodDNSConfig; dnsPolicy string;
            enableServiceLinks bool; ephemeralContainers [EphemeralContainer] by name;
            hostAliases [HostAlias] by ip; hostIPC bool; hostNetwork bool; hostPID bool; hostUsers bool;
            hostname string; hostnameOverride string; imagePullSecrets [LocalObjectReference] by name;
            initContainers [Container] by name; nodeName string; nodeSelector {string}; os PodOS;
            overhead {quantity}; preemptionPolicy string; priority int; priorityClassName string;
            readinessGates [PodReadinessGate]; resourceClaims [PodResourceClaim] by name retainKeys;
            resources ResourceRequirements; restartPolicy string; runtimeClassName string;
            schedulerName string; schedulingGates [PodSchedulingGate] by name;
            schedulingGroup PodSchedulingGroup; securityContext PodSecurityContext;
            serviceAccount string; serviceAccountName string; setHostnameAsFQDN bool;
            shareProcessNamespace bool; subdomain string; terminationGracePeriodSeconds long;
            tolerations [Toleration];
            topologySpreadConstraints [TopologySpreadConstraint]
                by topologyKey as topologyKey,whenUnsatisfiable;
            volumes [Volume] by name retainKeys
        """,
        "Affinity": "nodeAffinity NodeAffinity; podAffinity PodAffinity; podAntiAffinity PodAntiAffinity",
        "NodeAffinity": """
            preferredDuringSchedulingIgnoredDuringExecution [PreferredSchedulingTerm];
            requiredDuringSchedulingIgnoredDuringExecution NodeSelector
        """,
        "PreferredSchedulingTerm": "preference! NodeSelectorTerm; weight! int",
        "NodeSelectorTerm": """
            matchExpressions [NodeSelectorRequirement]; matchFields [NodeSelectorRequirement]
        """,
        "NodeSelectorRequirement": "key! string; operator! string; values [string]",
        "NodeSelector": "nodeSelectorTerms! [NodeSelectorTerm]",
        "PodAffinity": """
            preferredDuringSchedulingIgnoredDuringExecution [WeightedPodAffinityTerm];
            requiredDuringSchedulingIgnoredDuringExecution [PodAffinityTerm]
        """,
        "WeightedPodAffinityTerm": "podAffinityTerm! PodAffinityTerm; weight! int",
        "PodAffinityTerm": """
            labelSelector LabelSelector; matchLabelKeys [string]; mismatchLabelKeys [string];
            namespaceSelector LabelSelector; namespaces [string]; topologyKey! string
        """,
        "PodAntiAffinity": """
            preferredDuringSchedulingIgnoredDuringExecution [WeightedPodAffinityTerm];
            requiredDuringSchedulingIgnoredDuringExecution [PodAffinityTerm]
        """,
        "Container": """
            args [string]; command [string]; env [EnvVar] by name; envFrom [EnvFromSource];
            image string; imagePullPolicy string; lifecycle Lifecycle; livenessProbe Probe;
            name! string; ports [ContainerPort] by containerPort as containerPort,protocol;
            readinessProbe Probe; resizePolicy [ContainerResizePolicy]; resources ResourceRequirements;
            restartPolicy string; restartPolicyRules [ContainerRestartRule];
            securityContext SecurityContext; startupProbe Probe; stdin bool; stdinOnce bool;
            terminationMessagePath string; terminationMessagePolicy string; tty bool;
            volumeDevices [VolumeDevice] by devicePath; volumeMounts [VolumeMount] by mountPath;
            workingDir string
        """,
        "EnvVar": "name! string; value string; valueFrom EnvVarSource",
        "EnvVarSource": """
            configMapKeyRef ConfigMapKeySelector; fieldRef ObjectFieldSelector;
            fileKeyRef FileKeySelector; resourceFieldRef ResourceFieldSelector;
            secretKeyRef SecretKeySelector
        """,
        "ConfigMapKeySelector": "key! string; name string; optional bool",
        "FileKeySelector": "key! string; optional bool; path! string; volumeName! string",
        "SecretKeySelector": "key! string; name string; optional bool",
        "EnvFromSource": "configMapRef ConfigMapEnvSource; prefix string; secretRef SecretEnvSource",
        "ConfigMapEnvSource": "name string; optional bool",
        "SecretEnvSource": "name string; optional bool",
        "Lifecycle": "postStart LifecycleHandler; preStop LifecycleHandler; stopSignal string",
        "LifecycleHandler": """
            exec ExecAction; httpGet HTTPGetAction; sleep SleepAction; tcpSocket TCPSocketAction
        """,
        "ExecAction": "command [string]",
        "HTTPGetAction": """
            host string; httpHeaders [HTTPHeader]; path string; port! intOrString; scheme string
        """,
        "HTTPHeader": "name! string; value! string",
        "SleepAction": "seconds! long",
        "TCPSocketAction": "host string; port! intOrString",
        "Probe": """
            exec ExecAction; failureThreshold int; grpc GRPCAction; httpGet HTTPGetAction;
            initialDelaySeconds int; periodSeconds int; successThreshold int; tcpSocket TCPSocketAction;
            terminationGracePeriodSeconds long; timeoutSeconds int
        """,
        "GRPCAction": "port! int; service string",
        "ContainerPort": "containerPort! int; hostIP string; hostPort int; name string; protocol string",
        "ContainerResizePolicy": "resourceName! string; restartPolicy! string",
        "ResourceRequirements": "claims [ResourceClaim] as name; limits {quantity}; requests {quantity}",
        "ResourceClaim": "name! string; request string",
        "ContainerRestartRule": "action! string; exitCodes ContainerRestartRuleOnExitCodes",
        "ContainerRestartRuleOnExitCodes": "operator! string; values [int]",
        "SecurityContext": """
            allowPrivilegeEscalation bool; appArmorProfile AppArmorProfile; capabilities Capabilities;
            privileged bool; procMount string; readOnlyRootFilesystem bool; runAsGroup long;
            runAsNonRoot bool; runAsUser long; seLinuxOptions SELinuxOptions;
            seccompProfile SeccompProfile; windowsOptions WindowsSecurityContextOptions
        """,
        "AppArmorProfile": "localhostProfile string; type! string",
        "Capabilities": "add [string]; drop [string]",
        "SELinuxOptions": "level string; role string; type string; user string",
        "SeccompProfile": "localhostProfile string; type! string",
        "WindowsSecurityContextOptions": """
            gmsaCredentialSpec string; gmsaCredentialSpecName string; hostProcess bool;
            runAsUserName string
        """,
        "VolumeDevice": "devicePath! string; name! string",
        "VolumeMount": """
            bindMountOptions [string]; mountPath! string; mountPropagation string; name! string;
            readOnly bool; recursiveReadOnly string; subPath string; subPathExpr string
        """,
        "PodDNSConfig": "nameservers [string]; options [PodDNSConfigOption]; searches [string]",
        "PodDNSConfigOption": "name string; value string",
        "EphemeralContainer": """
            args [string]; command [string]; env [EnvVar] by name; envFrom [EnvFromSource];
            image string; imagePullPolicy string; lifecycle Lifecycle; livenessProbe Probe;
            name! string; ports [ContainerPort] by containerPort as containerPort,protocol;
            readinessProbe Probe; resizePolicy [ContainerResizePolicy]; resources ResourceRequirements;
            restartPolicy string; restartPolicyRules [ContainerRestartRule];
            securityContext SecurityContext; startupProbe Probe; stdin bool; stdinOnce bool;
            targetContainerName string; terminationMessagePath string; terminationMessagePolicy string;
            tty bool; volumeDevices [VolumeDevice] by devicePath;
            volumeMounts [VolumeMount] by mountPath; workingDir string
        """,
        "HostAlias": "hostnames [string]; ip! string",
        "PodOS": "name! string",
        "PodReadinessGate": "conditionType! string",
        "PodResourceClaim": "name! string; resourceClaimName string; resourceClaimTemplateName string",
        "PodSchedulingGate": "name! string",
        "PodSchedulingGroup": "podGroupName string",
        "PodSecurityContext": """
            appArmorProfile AppArmorProfile; fsGroup long; fsGroupChangePolicy string; runAsGroup long;
            runAsNonRoot bool; runAsUser long; seLinuxChangePolicy string;
            seLinuxOptions SELinuxOptions; seccompProfile SeccompProfile; supplementalGroups [long];
            supplementalGroupsPolicy string; sysctls [Sysctl];
            windowsOptions WindowsSecurityContextOptions
        """,
        "Sysctl": "name! string; value! string",
        "Toleration": "effect string; key string; operator string; tolerationSeconds long; value string",
        "TopologySpreadConstraint": """
            labelSelector LabelSelector; matchLabelKeys [string]; maxSkew! int; minDomains int;
            nodeAffinityPolicy string; nodeTaintsPolicy string; topologyKey! string;
            whenUnsatisfiable! string
        """,
        "Pod": "object; spec PodSpec; status PodStatus",
        "PodStatus": """
            allocatedResources {quantity}; conditions [PodCondition] by type;
            containerStatuses [ContainerStatus]; ephemeralContainerStatuses [ContainerStatus];
            extendedResourceClaimStatus PodExtendedResourceClaimStatus; hostIP string;
            hostIPs [HostIP] by ip; initContainerStatuses [ContainerStatus]; message string;
            nodeAllocatableResourceClaimStatuses [NodeAllocatableResourceClaimStatus];
            nominatedNodeName string; observedGeneration long; phase string; podIP string;
            podIPs [PodIP] by ip; qosClass string; reason string; resize string;
            resourceClaimStatuses [PodResourceClaimStatus] by name retainKeys;
            resources ResourceRequirements; startTime time
        """,
        "PodCondition": """
            lastProbeTime time; lastTransitionTime time; message string; observedGeneration long;
            reason string; status! string; type! string
        """,
        "ContainerStatus": """
            allocatedResources {quantity}; allocatedResourcesStatus [ResourceStatus];
            containerID string; image! string; imageID! string; lastState ContainerState; name! string;
            ready! bool; resources ResourceRequirements; restartCount! int; started bool;
            state ContainerState; stopSignal string; user ContainerUser;
            volumeMounts [VolumeMountStatus] by mountPath
        """,
        "ResourceStatus": "name! string; resources [ResourceHealth]",
        "ResourceHealth": "health string; message string; resourceID! string",
        "ContainerState": """
            running ContainerStateRunning; terminated ContainerStateTerminated;
            waiting ContainerStateWaiting
        """,
        "ContainerStateRunning": "startedAt time",
        "ContainerStateTerminated": """
            containerID string; exitCode! int; finishedAt time; message string; reason string;
            signal int; startedAt time
        """,
        "ContainerStateWaiting": "message string; reason string",
        "ContainerUser": "linux LinuxContainerUser",
        "LinuxContainerUser": "gid! long; supplementalGroups [long]; uid! long",
        "VolumeMountStatus": """
            mountPath! string; name! string; readOnly bool; recursiveReadOnly string;
            volumeStatus VolumeStatus
        """,
        "VolumeStatus": "image ImageVolumeStatus",
        "ImageVolumeStatus": "imageRef! string",
        "PodExtendedResourceClaimStatus": """
            requestMappings! [ContainerExtendedResourceRequest]; resourceClaimName! string
        """,
        "ContainerExtendedResourceRequest": """
            containerName! string; requestName! string; resourceName! string
        """,
        "HostIP": "ip! string",
        "NodeAllocatableResourceClaimStatus": """
            containers [string]; mapping [NodeAllocatableMappedResources];
            overhead [NodeAllocatableOverheadResources]; resourceClaimName! string
        """,
        "NodeAllocatableMappedResources": "name! string; quantity! string",
        "NodeAllocatableOverheadResources": "name! string; perContainer string; perPod string",
        "PodIP": "ip! string",
        "PodResourceClaimStatus": "name! string; resourceClaimName string",
        "Binding": "object; target! ObjectReference",
        "ObjectReference": """
            apiVersion string; fieldPath string; kind string; name string; namespace string;
            resourceVersion string; uid string
        """,
    },
}
