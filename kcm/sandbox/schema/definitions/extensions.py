"""Fields of CustomResourceDefinitions. Their schemas are free here and read by `schema.custom.document`.

Data in the language of `kcm.sandbox.schema.fields`: OpenAPI package, type, fields. Facts of the
Kubernetes API (names, field numbers, types, list keys), no prose.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1": {
        "CustomResourceDefinition": """
            object; spec! 2 CustomResourceDefinitionSpec; status 3 CustomResourceDefinitionStatus
        """,
        "CustomResourceDefinitionSpec": """
            conversion 9 CustomResourceConversion; group! 1 string; names! 3 CustomResourceDefinitionNames;
            preserveUnknownFields 10 bool; scope! 4 string; versions! 7 [CustomResourceDefinitionVersion]
        """,
        "CustomResourceDefinitionNames": """
            categories 6 [string]; kind! 4 string; listKind 5 string; plural! 1 string; shortNames 3 [string];
            singular 2 string
        """,
        "CustomResourceDefinitionVersion": """
            additionalPrinterColumns 6 [CustomResourceColumnDefinition]; deprecated 7 bool;
            deprecationWarning? 8 string; name! 1 string; schema 4 CustomResourceValidation;
            selectableFields 9 [SelectableField]; served! 2 bool; storage! 3 bool;
            subresources 5 CustomResourceSubresources
        """,
        "CustomResourceColumnDefinition": """
            description 4 string; format 3 string; jsonPath! 6 string; name! 1 string; priority 5 int;
            type! 2 string
        """,
        "CustomResourceValidation": "openAPIV3Schema 1 any",
        "SelectableField": "jsonPath! 1 string",
        "CustomResourceSubresources": """
            scale 2 CustomResourceSubresourceScale; status 1 CustomResourceSubresourceStatus
        """,
        "CustomResourceSubresourceScale": """
            labelSelectorPath? 3 string; specReplicasPath! 1 string; statusReplicasPath! 2 string
        """,
        "CustomResourceSubresourceStatus": "",
        "CustomResourceConversion": "strategy! 1 string; webhook 2 WebhookConversion",
        "WebhookConversion": "clientConfig 2 WebhookClientConfig; conversionReviewVersions! 3 [string]",
        "WebhookClientConfig": "caBundle 2 bytes; service 1 ServiceReference; url? 3 string",
        "ServiceReference": "name! 2 string; namespace! 1 string; path? 3 string; port? 4 int",
        "CustomResourceDefinitionStatus": """
            acceptedNames 2 CustomResourceDefinitionNames;
            conditions 1 [CustomResourceDefinitionCondition] as type; observedGeneration 4 long;
            storedVersions 3 [string]
        """,
        "CustomResourceDefinitionCondition": """
            lastTransitionTime 3 time; message 5 string; observedGeneration 6 long; reason 4 string;
            status! 2 string; type! 1 string
        """,
    },
}
