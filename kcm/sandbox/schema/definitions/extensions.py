"""Fields of CustomResourceDefinitions. Their schemas are free here and read by `schema.custom.document`.

Data in the language of `kcm.sandbox.schema.fields`: OpenAPI package, type, fields. Facts of the
Kubernetes API (names, types, list keys), no prose. Without field numbers: no client in use sends
definitions as protobuf.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1": {
        "CustomResourceDefinition": """
            object; spec! CustomResourceDefinitionSpec; status CustomResourceDefinitionStatus
        """,
        "CustomResourceDefinitionSpec": """
            conversion CustomResourceConversion; group! string; names! CustomResourceDefinitionNames;
            preserveUnknownFields bool; scope! string; versions! [CustomResourceDefinitionVersion]
        """,
        "CustomResourceDefinitionNames": """
            categories [string]; kind! string; listKind string; plural! string; shortNames [string];
            singular string
        """,
        "CustomResourceDefinitionVersion": """
            additionalPrinterColumns [CustomResourceColumnDefinition]; deprecated bool;
            deprecationWarning? string; name! string; schema CustomResourceValidation;
            selectableFields [SelectableField]; served! bool; storage! bool;
            subresources CustomResourceSubresources
        """,
        "CustomResourceColumnDefinition": """
            description string; format string; jsonPath! string; name! string; priority int; type! string
        """,
        "CustomResourceValidation": "openAPIV3Schema any",
        "SelectableField": "jsonPath! string",
        "CustomResourceSubresources": """
            scale CustomResourceSubresourceScale; status CustomResourceSubresourceStatus
        """,
        "CustomResourceSubresourceScale": """
            labelSelectorPath? string; specReplicasPath! string; statusReplicasPath! string
        """,
        "CustomResourceSubresourceStatus": "",
        "CustomResourceConversion": "strategy! string; webhook WebhookConversion",
        "WebhookConversion": "clientConfig WebhookClientConfig; conversionReviewVersions! [string]",
        "WebhookClientConfig": "caBundle bytes; service ServiceReference; url? string",
        "ServiceReference": "name! string; namespace! string; path? string; port? int",
        "CustomResourceDefinitionStatus": """
            acceptedNames CustomResourceDefinitionNames;
            conditions [CustomResourceDefinitionCondition] as type; observedGeneration long;
            storedVersions [string]
        """,
        "CustomResourceDefinitionCondition": """
            lastTransitionTime time; message string; observedGeneration long; reason string;
            status! string; type! string
        """,
    },
}
