"""Fields of the types that every group shares.

Data in the language of `kcm.sandbox.schema.fields`: OpenAPI package, type, fields. Facts of the
Kubernetes API (names, field numbers, types, list keys), no prose.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "io.k8s.apimachinery.pkg.apis.meta.v1": {
        "ListMeta": """
            continue 3 string; remainingItemCount? 4 long; resourceVersion 2 string; selfLink 1 string
        """,
        "ObjectMeta": """
            annotations 12 {string}; creationTimestamp 8 time; deletionGracePeriodSeconds? 10 long;
            deletionTimestamp? 9 time; finalizers 14 [string] merge; generateName 2 string; generation 7 long;
            labels 11 {string}; managedFields 17 [ManagedFieldsEntry]; name 1 string; namespace 3 string;
            ownerReferences 13 [OwnerReference] by uid; resourceVersion 6 string; selfLink 4 string;
            uid 5 string
        """,
        "ManagedFieldsEntry": """
            apiVersion 3 string; fieldsType 6 string; fieldsV1 {any}; manager 1 string; operation 2 string;
            subresource 8 string; time? 4 time
        """,
        "OwnerReference": """
            apiVersion! 5 string; blockOwnerDeletion? 7 bool; controller? 6 bool; kind! 1 string;
            name! 3 string; uid! 4 string
        """,
        "LabelSelector": "matchExpressions 2 [LabelSelectorRequirement]; matchLabels 1 {string}",
        "LabelSelectorRequirement": "key! 1 string; operator! 2 string; values 3 [string]",
        "Status": """
            apiVersion string; code 6 int; details 5 StatusDetails; kind string; message 3 string;
            metadata 1 ListMeta; reason 4 string; status 2 string
        """,
        "StatusDetails": """
            causes 4 [StatusCause]; group 2 string; kind 3 string; name 1 string; retryAfterSeconds 5 int;
            uid 6 string
        """,
        "StatusCause": "field 3 string; message 2 string; reason 1 string",
        "DeleteOptions": """
            apiVersion string; dryRun 5 [string]; gracePeriodSeconds? 1 long;
            ignoreStoreReadErrorWithClusterBreakingPotential? 6 bool; kind string; orphanDependents? 3 bool;
            preconditions 2 Preconditions; propagationPolicy? 4 string
        """,
        "Preconditions": "resourceVersion? 2 string; uid? 1 string",
        "Condition": """
            lastTransitionTime! 4 time; message! 6 string; observedGeneration 3 long; reason! 5 string;
            status! 2 string; type! 1 string
        """,
    },
}
