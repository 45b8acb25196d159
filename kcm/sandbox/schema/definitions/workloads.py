"""Fields of the groups apps and batch, and of what came before them.

Data in the language of `kcm.sandbox.schema.fields`: OpenAPI package, type, fields. Facts of the
Kubernetes API (names, field numbers, types, list keys), no prose.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "io.k8s.api.core.v1": {
        "ReplicationController": """
            object; spec 2 ReplicationControllerSpec; status 3 ReplicationControllerStatus
        """,
        "ReplicationControllerSpec": """
            minReadySeconds 4 int; replicas? 1 int; selector 2 {string}; template 3 PodTemplateSpec
        """,
        "ReplicationControllerStatus": """
            availableReplicas 5 int; conditions 6 [ReplicationControllerCondition] by type;
            fullyLabeledReplicas 2 int; observedGeneration 3 long; readyReplicas 4 int; replicas! 1 int
        """,
        "ReplicationControllerCondition": """
            lastTransitionTime 3 time; message 5 string; reason 4 string; status! 2 string; type! 1 string
        """,
    },
    "io.k8s.api.apps.v1": {
        "Deployment": "object; spec! 2 DeploymentSpec; status 3 DeploymentStatus",
        "DeploymentSpec": """
            minReadySeconds 5 int; paused 7 bool; progressDeadlineSeconds? 9 int; replicas? 1 int;
            revisionHistoryLimit? 6 int; selector! 2 LabelSelector; strategy 4 DeploymentStrategy retainKeys;
            template! 3 PodTemplateSpec
        """,
        "DeploymentStrategy": "rollingUpdate 2 RollingUpdateDeployment; type 1 string",
        "RollingUpdateDeployment": "maxSurge? 2 intOrString; maxUnavailable? 1 intOrString",
        "DeploymentStatus": """
            availableReplicas 4 int; collisionCount? 8 int; conditions 6 [DeploymentCondition] by type;
            observedGeneration 1 long; readyReplicas 7 int; replicas 2 int; terminatingReplicas? 9 int;
            unavailableReplicas 5 int; updatedReplicas 3 int
        """,
        "DeploymentCondition": """
            lastTransitionTime 7 time; lastUpdateTime 6 time; message 5 string; reason 4 string;
            status 2 string; type 1 string
        """,
        "ReplicaSet": "object; spec! 2 ReplicaSetSpec; status 3 ReplicaSetStatus",
        "ReplicaSetSpec": """
            minReadySeconds 4 int; replicas? 1 int; selector! 2 LabelSelector; template 3 PodTemplateSpec
        """,
        "ReplicaSetStatus": """
            availableReplicas 5 int; conditions 6 [ReplicaSetCondition] by type; fullyLabeledReplicas 2 int;
            observedGeneration 3 long; readyReplicas 4 int; replicas! 1 int; terminatingReplicas? 7 int
        """,
        "ReplicaSetCondition": """
            lastTransitionTime 3 time; message 5 string; reason 4 string; status 2 string; type 1 string
        """,
        "StatefulSet": "object; spec! 2 StatefulSetSpec; status 3 StatefulSetStatus",
        "StatefulSetSpec": """
            minReadySeconds 9 int; ordinals 11 StatefulSetOrdinals;
            persistentVolumeClaimRetentionPolicy 10 StatefulSetPersistentVolumeClaimRetentionPolicy;
            podManagementPolicy 6 string; replicas? 1 int; revisionHistoryLimit? 8 int;
            selector! 2 LabelSelector; serviceName 5 string; template! 3 PodTemplateSpec;
            updateStrategy 7 StatefulSetUpdateStrategy; volumeClaimTemplates 4 [PersistentVolumeClaim]
        """,
        "StatefulSetOrdinals": "start 1 int",
        "StatefulSetPersistentVolumeClaimRetentionPolicy": "whenDeleted 1 string; whenScaled 2 string",
        "StatefulSetUpdateStrategy": "rollingUpdate 2 RollingUpdateStatefulSetStrategy; type 1 string",
        "RollingUpdateStatefulSetStrategy": "maxUnavailable? 2 intOrString; partition? 1 int",
        "StatefulSetStatus": """
            availableReplicas 11 int; collisionCount? 9 int; conditions 10 [StatefulSetCondition] by type;
            currentReplicas 4 int; currentRevision 6 string; observedGeneration 1 long; readyReplicas 3 int;
            replicas! 2 int; updateRevision 7 string; updatedReplicas 5 int
        """,
        "StatefulSetCondition": """
            lastTransitionTime 3 time; message 5 string; reason 4 string; status 2 string; type 1 string
        """,
        "DaemonSet": "object; spec! 2 DaemonSetSpec; status 3 DaemonSetStatus",
        "DaemonSetSpec": """
            minReadySeconds 4 int; revisionHistoryLimit? 6 int; selector! 1 LabelSelector;
            template! 2 PodTemplateSpec; updateStrategy 3 DaemonSetUpdateStrategy
        """,
        "DaemonSetUpdateStrategy": "rollingUpdate 2 RollingUpdateDaemonSet; type 1 string",
        "RollingUpdateDaemonSet": "maxSurge? 2 intOrString; maxUnavailable? 1 intOrString",
        "DaemonSetStatus": """
            collisionCount? 9 int; conditions 10 [DaemonSetCondition] by type; currentNumberScheduled! 1 int;
            desiredNumberScheduled! 3 int; numberAvailable 7 int; numberMisscheduled! 2 int;
            numberReady! 4 int; numberUnavailable 8 int; observedGeneration 5 long;
            updatedNumberScheduled 6 int
        """,
        "DaemonSetCondition": """
            lastTransitionTime 3 time; message 5 string; reason 4 string; status 2 string; type 1 string
        """,
    },
    "io.k8s.api.batch.v1": {
        "CronJob": "object; spec 2 CronJobSpec; status 3 CronJobStatus",
        "CronJobSpec": """
            concurrencyPolicy 3 string; failedJobsHistoryLimit? 7 int; jobTemplate! 5 JobTemplateSpec;
            schedule! 1 string; startingDeadlineSeconds? 2 long; successfulJobsHistoryLimit? 6 int;
            suspend? 4 bool; timeZone? 8 string
        """,
        "JobTemplateSpec": "metadata 1 ObjectMeta; spec 2 JobSpec",
        "CronJobStatus": "active 1 [ObjectReference]; lastScheduleTime? 4 time; lastSuccessfulTime? 5 time",
        "Job": "object; spec 2 JobSpec; status 3 JobStatus",
        "JobSpec": """
            activeDeadlineSeconds? 3 long; backoffLimit? 7 int; backoffLimitPerIndex? 12 int;
            completionMode? 9 string; completions? 2 int; managedBy? 15 string; manualSelector? 5 bool;
            maxFailedIndexes? 13 int; parallelism? 1 int; podFailurePolicy 11 PodFailurePolicy;
            podReplacementPolicy? 14 string; selector 4 LabelSelector; successPolicy 16 SuccessPolicy;
            suspend? 10 bool; template! 6 PodTemplateSpec; ttlSecondsAfterFinished? 8 int
        """,
        "PodFailurePolicy": "rules! 1 [PodFailurePolicyRule]",
        "PodFailurePolicyRule": """
            action! 1 string; onExitCodes 2 PodFailurePolicyOnExitCodesRequirement;
            onPodConditions 3 [PodFailurePolicyOnPodConditionsPattern]
        """,
        "PodFailurePolicyOnExitCodesRequirement": """
            containerName? 1 string; operator! 2 string; values! 3 [int]
        """,
        "PodFailurePolicyOnPodConditionsPattern": "status 2 string; type! 1 string",
        "SuccessPolicy": "rules! 1 [SuccessPolicyRule]",
        "SuccessPolicyRule": "succeededCount? 2 int; succeededIndexes? 1 string",
        "JobStatus": """
            active 4 int; completedIndexes 7 string; completionTime? 3 time;
            conditions 1 [JobCondition] by type; failed 6 int; failedIndexes? 10 string; ready? 9 int;
            startTime? 2 time; succeeded 5 int; terminating? 11 int;
            uncountedTerminatedPods 8 UncountedTerminatedPods
        """,
        "JobCondition": """
            lastProbeTime 3 time; lastTransitionTime 4 time; message 6 string; reason 5 string;
            status! 2 string; type! 1 string
        """,
        "UncountedTerminatedPods": "failed 2 [string]; succeeded 1 [string]",
    },
}
