"""Fields of roles, bindings and of the reviews that ask who may do what.

Data in the language of `kcm.sandbox.schema.fields`: OpenAPI package, type, fields. Facts of the
Kubernetes API (names, field numbers, types, list keys), no prose.
"""

from __future__ import annotations

from collections.abc import Mapping

PACKAGES: Mapping[str, Mapping[str, str]] = {
    "io.k8s.api.rbac.v1": {
        "Role": "object; rules 2 [PolicyRule]",
        "ClusterRole": "object; aggregationRule 3 AggregationRule; rules 2 [PolicyRule]",
        "RoleBinding": "object; roleRef! 3 RoleRef; subjects 2 [Subject]",
        "ClusterRoleBinding": "object; roleRef! 3 RoleRef; subjects 2 [Subject]",
        "PolicyRule": """
            apiGroups 2 [string]; nonResourceURLs 5 [string]; resourceNames 4 [string];
            resources 3 [string]; verbs! 1 [string]
        """,
        "AggregationRule": "clusterRoleSelectors 1 [LabelSelector]",
        "RoleRef": "apiGroup 1 string; kind! 2 string; name! 3 string",
        "Subject": "apiGroup 2 string; kind! 1 string; name! 3 string; namespace 4 string",
    },
    "io.k8s.api.authorization.v1": {
        "SubjectAccessReview": "object; spec! 2 SubjectAccessReviewSpec; status 3 SubjectAccessReviewStatus",
        "LocalSubjectAccessReview": """
            object; spec! 2 SubjectAccessReviewSpec; status 3 SubjectAccessReviewStatus
        """,
        "SubjectAccessReviewSpec": """
            extra 5 {[string]}; groups 4 [string]; nonResourceAttributes 2 NonResourceAttributes;
            resourceAttributes 1 ResourceAttributes; uid 6 string; user 3 string
        """,
        "SelfSubjectAccessReview": """
            object; spec! 2 SelfSubjectAccessReviewSpec; status 3 SubjectAccessReviewStatus
        """,
        "SelfSubjectAccessReviewSpec": """
            nonResourceAttributes 2 NonResourceAttributes; resourceAttributes 1 ResourceAttributes
        """,
        "SubjectAccessReviewStatus": """
            allowed! 1 bool; denied 4 bool; evaluationError 3 string; reason 2 string
        """,
        "ResourceAttributes": """
            fieldSelector 8 FieldSelectorAttributes; group 3 string; labelSelector 9 LabelSelectorAttributes;
            name 7 string; namespace 1 string; resource 5 string; subresource 6 string; verb 2 string;
            version 4 string
        """,
        "NonResourceAttributes": "path 1 string; verb 2 string",
        "FieldSelectorAttributes": "rawSelector 1 string; requirements 2 [FieldSelectorRequirement]",
        "LabelSelectorAttributes": "rawSelector 1 string; requirements 2 [LabelSelectorRequirement]",
        "FieldSelectorRequirement": "key! 1 string; operator! 2 string; values 3 [string]",
        "SelfSubjectRulesReview": """
            object; spec! 2 SelfSubjectRulesReviewSpec; status 3 SubjectRulesReviewStatus
        """,
        "SelfSubjectRulesReviewSpec": "namespace 1 string",
        "SubjectRulesReviewStatus": """
            evaluationError 4 string; incomplete! 3 bool; nonResourceRules! 2 [NonResourceRule];
            resourceRules! 1 [ResourceRule]
        """,
        "ResourceRule": """
            apiGroups 2 [string]; resourceNames 4 [string]; resources 3 [string]; verbs! 1 [string]
        """,
        "NonResourceRule": "nonResourceURLs 2 [string]; verbs! 1 [string]",
    },
    "io.k8s.api.authentication.v1": {
        "TokenReview": "object; spec! 2 TokenReviewSpec; status 3 TokenReviewStatus",
        "TokenReviewSpec": "audiences 2 [string]; token 1 string",
        "TokenReviewStatus": "audiences 4 [string]; authenticated 1 bool; error 3 string; user 2 UserInfo",
        "UserInfo": "extra 4 {[string]}; groups 3 [string]; uid 2 string; username 1 string",
        "SelfSubjectReview": "object; status 2 SelfSubjectReviewStatus",
        "SelfSubjectReviewStatus": "userInfo 1 UserInfo",
    },
}
