"""Fields of the types that every group shares.

Data in the language of `kcm.sandbox.schema.fields`: OpenAPI package, type, fields. Facts of the
Kubernetes API (names, types, list keys), no prose.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "io.k8s.apimachinery.pkg.apis.meta.v1": {
        "ListMeta": "continue string; remainingItemCount long; resourceVersion string; selfLink string",
        "ObjectMeta": """
            annotations {string}; creationTimestamp time; deletionGracePeriodSeconds long;
            deletionTimestamp time; finalizers [string] merge; generateName string; generation long;
            labels {string}; managedFields [ManagedFieldsEntry]; name string; namespace string;
            ownerReferences [OwnerReference] by uid; resourceVersion string; selfLink string; uid string
        """,
        "ManagedFieldsEntry": """
            apiVersion string; fieldsType string; fieldsV1 {any}; manager string; operation string;
            subresource string; time time
        """,
        "OwnerReference": """
            apiVersion! string; blockOwnerDeletion bool; controller bool; kind! string; name! string;
            uid! string
        """,
        "LabelSelector": "matchExpressions [LabelSelectorRequirement]; matchLabels {string}",
        "LabelSelectorRequirement": "key! string; operator! string; values [string]",
        "Status": """
            apiVersion string; code int; details StatusDetails; kind string; message string;
            metadata ListMeta; reason string; status string
        """,
        "StatusDetails": """
            causes [StatusCause]; group string; kind string; name string; retryAfterSeconds int;
            uid string
        """,
        "StatusCause": "field string; message string; reason string",
        "DeleteOptions": """
            apiVersion string; dryRun [string]; gracePeriodSeconds long;
            ignoreStoreReadErrorWithClusterBreakingPotential bool; kind string; orphanDependents bool;
            preconditions Preconditions; propagationPolicy string
        """,
        "Preconditions": "resourceVersion string; uid string",
        "Condition": """
            lastTransitionTime! time; message! string; observedGeneration long; reason! string;
            status! string; type! string
        """,
    },
}
