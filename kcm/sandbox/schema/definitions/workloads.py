"""Fields of the groups apps and batch.

Data in the language of `kcm.sandbox.schema.fields`: OpenAPI package, type, fields. Facts of the
Kubernetes API (names, types, list keys), no prose.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "io.k8s.api.apps.v1": {
        "Deployment": "object; spec! DeploymentSpec; status DeploymentStatus",
        "DeploymentSpec": """
            minReadySeconds int; paused bool; progressDeadlineSeconds int; replicas int;
            revisionHistoryLimit int; selector! LabelSelector; strategy DeploymentStrategy retainKeys;
            template! PodTemplateSpec
        """,
        "DeploymentStrategy": "rollingUpdate RollingUpdateDeployment; type string",
        "RollingUpdateDeployment": "maxSurge intOrString; maxUnavailable intOrString",
        "DeploymentStatus": """
            availableReplicas int; collisionCount int; conditions [DeploymentCondition] by type;
            observedGeneration long; readyReplicas int; replicas int; terminatingReplicas int;
            unavailableReplicas int; updatedReplicas int
        """,
        "DeploymentCondition": """
            lastTransitionTime time; lastUpdateTime time; message string; reason string; status string;
            type string
        """,
        "ReplicaSet": "object; spec! ReplicaSetSpec; status ReplicaSetStatus",
        "ReplicaSetSpec": """
            minReadySeconds int; replicas int; selector! LabelSelector; template PodTemplateSpec
        """,
        "ReplicaSetStatus": """
            availableReplicas int; conditions [ReplicaSetCondition] by type; fullyLabeledReplicas int;
            observedGeneration long; readyReplicas int; replicas! int; terminatingReplicas int
        """,
        "ReplicaSetCondition": """
            lastTransitionTime time; message string; reason string; status string; type string
        """,
        "StatefulSet": "object; spec! StatefulSetSpec; status StatefulSetStatus",
        "StatefulSetSpec": """
            minReadySeconds int; ordinals StatefulSetOrdinals;
            persistentVolumeClaimRetentionPolicy StatefulSetPersistentVolumeClaimRetentionPolicy;
            podManagementPolicy string; replicas int; revisionHistoryLimit int; selector! LabelSelector;
            serviceName string; template! PodTemplateSpec; updateStrategy StatefulSetUpdateStrategy;
            volumeClaimTemplates [PersistentVolumeClaim]
        """,
        "StatefulSetOrdinals": "start int",
        "StatefulSetPersistentVolumeClaimRetentionPolicy": "whenDeleted string; whenScaled string",
        "StatefulSetUpdateStrategy": "rollingUpdate RollingUpdateStatefulSetStrategy; type string",
        "RollingUpdateStatefulSetStrategy": "maxUnavailable intOrString; partition int",
        "StatefulSetStatus": """
            availableReplicas int; collisionCount int; conditions [StatefulSetCondition] by type;
            currentReplicas int; currentRevision string; observedGeneration long; readyReplicas int;
            replicas! int; updateRevision string; updatedReplicas int
        """,
        "StatefulSetCondition": """
            lastTransitionTime time; message string; reason string; status string; type string
        """,
        "DaemonSet": "object; spec! DaemonSetSpec; status DaemonSetStatus",
        "DaemonSetSpec": """
            minReadySeconds int; revisionHistoryLimit int; selector! LabelSelector;
            template! PodTemplateSpec; updateStrategy DaemonSetUpdateStrategy
        """,
        "DaemonSetUpdateStrategy": "rollingUpdate RollingUpdateDaemonSet; type string",
        "RollingUpdateDaemonSet": "maxSurge intOrString; maxUnavailable intOrString",
        "DaemonSetStatus": """
            collisionCount int; conditions [DaemonSetCondition] by type; currentNumberScheduled! int;
            desiredNumberScheduled! int; numberAvailable int; numberMisscheduled! int; numberReady! int;
            numberUnavailable int; observedGeneration long; updatedNumberScheduled int
        """,
        "DaemonSetCondition": """
            lastTransitionTime time; message string; reason string; status string; type string
        """,
    },
    "io.k8s.api.batch.v1": {
        "Job": "object; spec JobSpec; status JobStatus",
        "JobSpec": """
            activeDeadlineSeconds long; backoffLimit int; backoffLimitPerIndex int;
            completionMode string; completions int; managedBy string; manualSelector bool;
            maxFailedIndexes int; parallelism int; podFailurePolicy PodFailurePolicy;
            podReplacementPolicy string; selector LabelSelector; successPolicy SuccessPolicy;
            suspend bool; template! PodTemplateSpec; ttlSecondsAfterFinished int
        """,
        "PodFailurePolicy": "rules! [PodFailurePolicyRule]",
        "PodFailurePolicyRule": """
            action! string; onExitCodes PodFailurePolicyOnExitCodesRequirement;
            onPodConditions [PodFailurePolicyOnPodConditionsPattern]
        """,
        "PodFailurePolicyOnExitCodesRequirement": "containerName string; operator! string; values! [int]",
        "PodFailurePolicyOnPodConditionsPattern": "status string; type! string",
        "SuccessPolicy": "rules! [SuccessPolicyRule]",
        "SuccessPolicyRule": "succeededCount int; succeededIndexes string",
        "JobStatus": """
            active int; completedIndexes string; completionTime time; conditions [JobCondition] by type;
            failed int; failedIndexes string; ready int; startTime time; succeeded int; terminating int;
            uncountedTerminatedPods UncountedTerminatedPods
        """,
        "JobCondition": """
            lastProbeTime time; lastTransitionTime time; message string; reason string; status! string;
            type! string
        """,
        "UncountedTerminatedPods": "failed [string]; succeeded [string]",
    },
}
