"""RBAC rules, bindings and tokens, decided without a server."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kcm.sandbox.access.defaults import default_bindings, default_roles
from kcm.sandbox.access.policy import Policy
from kcm.sandbox.access.rules import FULL_AUTHORITY, Rule, Wish, describe, missing, unused
from kcm.sandbox.access.tokens import AUDIENCE, BadToken, Bound, Reference, TokenSigner
from kcm.sandbox.access.users import User, account_groups, account_name, account_of
from kcm.sandbox.schema.resources import RESOURCES

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PODS = Wish("get", "", "pods", namespace="a", name="x")


def rule(verbs="get", groups="", resources="pods", names=(), urls=()):
    if urls:
        return Rule.read({"verbs": verbs.split(), "nonResourceURLs": list(urls)})
    return Rule.read(
        {
            "verbs": verbs.split(),
            "apiGroups": groups.split(",") if groups else [""],
            "resources": resources.split(),
            "resourceNames": list(names),
        }
    )


@pytest.mark.parametrize(
    ("held", "wish", "allowed"),
    [
        (rule(), PODS, True),
        (rule("list"), PODS, False),
        (rule("*"), PODS, True),
        (rule(groups="apps"), PODS, False),
        (rule(groups="*"), PODS, True),
        (rule(resources="*"), PODS._replace(subresource="status"), True),
        (rule(resources="pods"), PODS._replace(subresource="status"), False),
        (rule(resources="pods/status"), PODS._replace(subresource="status"), True),
        (rule(resources="*/status"), PODS._replace(subresource="status"), True),
        (rule(resources="*/scale"), PODS._replace(subresource="status"), False),
        (rule(names=("x",)), PODS, True),
        (rule(names=("y",)), PODS, False),
        (rule(names=("x",)), PODS._replace(name=""), False),
        (rule(urls=("/api",)), Wish("get", path="/api"), True),
        (rule(urls=("/api/*",)), Wish("get", path="/api/v1"), True),
        (rule(urls=("/api/*",)), Wish("get", path="/api"), False),
        (rule(urls=("*",)), Wish("get", path="/anything"), True),
        (rule(urls=("*",)), PODS, False),
        (rule("*", "*", "*"), Wish("get", path="/api"), False),
    ],
)
def test_a_rule_allows_what_it_says(held, wish, allowed):
    assert held.allows(wish) is allowed


WORDS = st.sampled_from(("get", "list", "*"))
RULES = st.builds(
    Rule,
    verbs=st.lists(WORDS, max_size=2).map(tuple),
    groups=st.lists(st.sampled_from(("", "apps", "*")), max_size=2).map(tuple),
    resources=st.lists(st.sampled_from(("pods", "pods/status", "*/status", "*")), max_size=2).map(tuple),
    names=st.lists(st.sampled_from(("x", "y")), max_size=2).map(tuple),
)
WISHES = st.builds(
    Wish,
    verb=st.sampled_from(("get", "list")),
    group=st.sampled_from(("", "apps")),
    resource=st.just("pods"),
    subresource=st.sampled_from(("", "status")),
    name=st.sampled_from(("", "x", "y")),
)


@given(st.lists(RULES, max_size=3), st.lists(RULES, max_size=2), WISHES)
def test_who_lacks_nothing_of_a_role_may_do_all_that_it_allows(held, wanted, wish):
    if not missing(held, wanted) and any(one.allows(wish) for one in wanted):
        assert any(one.allows(wish) for one in held)


@given(RULES, WISHES)
def test_the_atoms_of_a_rule_allow_what_the_rule_allows(whole, wish):
    assert whole.allows(wish) == any(atom.allows(wish) for atom in whole.atoms())


def test_what_is_missing_is_told_by_resource_as_the_server_tells_it():
    wanted = [rule("get list", resources="pods secrets"), rule("get list", "apps", "deployments")]
    assert describe(missing([rule("get")], wanted)) == [
        '{APIGroups:[""], Resources:["pods"], Verbs:["list"]}',
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}',
        '{APIGroups:["apps"], Resources:["deployments"], Verbs:["get" "list"]}',
    ]
    assert describe(missing([], [rule(urls=("/metrics",))])) == [
        '{NonResourceURLs:["/metrics"], Verbs:["get"]}'
    ]
    assert missing(FULL_AUTHORITY, [*wanted, rule("*", "*", "*"), rule(urls=("/x",))]) == []


def test_what_nobody_used_of_a_grant_is_told():
    granted = [rule("get list", resources="pods pods/status")]
    assert describe(unused(granted, [PODS, PODS._replace(verb="list", name="")])) == [
        '{APIGroups:[""], Resources:["pods/status"], Verbs:["get" "list"]}'
    ]


def role(name, *rules, namespace="", kind=""):
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    shown = [one.shown() for one in rules]
    return {"kind": kind or ("Role" if namespace else "ClusterRole"), "metadata": metadata, "rules": shown}


def binding(name, to, *subjects, namespace="", role_kind="ClusterRole"):
    metadata = {"name": name, "namespace": namespace} if namespace else {"name": name}
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    reference = {"kind": role_kind, "name": to}
    return {"kind": kind, "metadata": metadata, "roleRef": reference, "subjects": list(subjects)}


def policy(*objects):
    made = Policy()
    for obj in objects:
        made.put(obj)
    return made


USER = {"kind": "User", "name": "bob"}
GROUP = {"kind": "Group", "name": "devs"}


def test_a_binding_of_the_cluster_counts_everywhere_and_one_of_a_namespace_there():
    reader = role("reader", rule())
    everywhere = policy(reader, binding("b", "reader", USER))
    there = policy(reader, binding("b", "reader", USER, namespace="a"))
    for asked, namespace, allowed in ((everywhere, "", True), (everywhere, "z", True), (there, "z", False)):
        wish = PODS._replace(namespace=namespace)
        assert asked.decide(User("bob"), wish).allowed is allowed
    assert there.decide(User("bob"), PODS) == (
        True,
        'RBAC: allowed by RoleBinding "b/a" of ClusterRole "reader" to User "bob"',
    )


def test_users_groups_and_service_accounts_are_subjects():
    account = {"kind": "ServiceAccount", "name": "sa"}
    made = policy(role("reader", rule()), binding("b", "reader", GROUP, account, namespace="a"))
    assert made.decide(User("eve", ("devs",)), PODS).allowed
    assert not made.decide(User("devs"), PODS).allowed
    of_namespace = made.decide(User(account_name("a", "sa")), PODS)
    assert of_namespace.reason.endswith('to ServiceAccount "sa/a"')
    assert not made.decide(User(account_name("b", "sa")), PODS).allowed


def test_a_master_is_asked_nothing():
    assert Policy().decide(User("x", ("system:masters",)), PODS).allowed


def test_what_is_taken_away_counts_no_more():
    made = policy(role("reader", rule()), binding("b", "reader", USER))
    assert made.decide(User("bob"), PODS).allowed
    made.put(role("reader", rule("list")))
    assert not made.decide(User("bob"), PODS).allowed
    made.put(role("reader", rule()))
    assert made.decide(User("bob"), PODS).allowed
    made.remove("ClusterRoleBinding", ("", "b"))
    assert not made.decide(User("bob"), PODS).allowed


def test_a_role_of_another_namespace_is_not_meant():
    made = policy(
        role("r", rule(), namespace="other"), binding("b", "r", USER, namespace="a", role_kind="Role")
    )
    assert made.decide(User("bob"), PODS) == (False, 'RBAC: role.rbac.authorization.k8s.io "r" not found')


def test_names_are_told_apart_though_decisions_are_remembered():
    made = policy(role("r", rule(names=("x",))), binding("b", "r", USER))
    allowed = [made.decide(User("bob"), PODS._replace(name=name)).allowed for name in ("x", "y", "x", "")]
    assert allowed == [True, False, True, False]


def test_the_default_roles_let_people_do_what_their_names_say():
    made = policy(*default_roles(RESOURCES), *default_bindings())
    for who in ("view", "edit", "admin"):
        made.put(binding(who, who, {"kind": "User", "name": who}, namespace="a"))
    table = {
        ("get", "", "pods"): "view edit admin",
        ("get", "", "secrets"): "edit admin",
        ("create", "apps", "deployments"): "edit admin",
        ("create", "rbac.authorization.k8s.io", "rolebindings"): "admin",
        ("get", "", "nodes"): "",
        ("patch", "", "namespaces"): "",
    }
    for (verb, group, resource), who in table.items():
        wish = Wish(verb, group, resource, namespace="a")
        assert [name for name in ("view", "edit", "admin") if made.decide(User(name), wish).allowed] == (
            who.split()
        )
    everybody, somebody = User("x", ("system:unauthenticated",)), User("x", ("system:authenticated",))
    assert made.decide(everybody, Wish("get", path="/version")).allowed
    assert not made.decide(everybody, Wish("get", path="/apis")).allowed
    assert made.decide(somebody, Wish("get", path="/apis/apps/v1")).allowed
    review = Wish("create", "authorization.k8s.io", "selfsubjectaccessreviews")
    assert made.decide(somebody, review).allowed


def test_no_gathering_role_lacks_what_it_gathers_from_the_start():
    roles = {one["metadata"]["name"]: one for one in default_roles(RESOURCES)}
    for name in ("view", "edit", "admin"):
        (selector,) = roles[name]["aggregationRule"]["clusterRoleSelectors"]
        ((label, _),) = selector["matchLabels"].items()
        for other in roles.values():
            if label in other["metadata"]["labels"]:
                assert all(one in roles[name]["rules"] for one in other["rules"])


# Tokens.

SIGNER = TokenSigner(b"k" * 32)
BOUND = Bound("ns", Reference("sa", "uid-1"))


def test_a_token_says_whose_it_is_until_it_expires():
    token = SIGNER.sign(BOUND, (AUDIENCE,), NOW, 600, "id")
    claims = SIGNER.read(token, NOW + timedelta(seconds=599))
    assert (claims.sub, claims.bound, claims.jti) == ("system:serviceaccount:ns:sa", BOUND, "id")
    with pytest.raises(BadToken, match="expired"):
        SIGNER.read(token, NOW + timedelta(seconds=700))
    with pytest.raises(BadToken, match="not valid yet"):
        SIGNER.read(token, NOW - timedelta(seconds=100))


def test_a_token_for_somebody_else_or_of_another_key_proves_nothing():
    token = SIGNER.sign(BOUND, ("vault",), NOW, 600, "id")
    assert SIGNER.read(token, NOW, ("vault", AUDIENCE)).aud == ("vault",)
    with pytest.raises(BadToken, match="audiences"):
        SIGNER.read(token, NOW)
    with pytest.raises(BadToken):
        TokenSigner(b"j" * 32).read(token, NOW, ("vault",))


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("latin-1")))
def test_no_text_but_a_signed_one_is_a_token(text):
    with pytest.raises(BadToken):
        SIGNER.read(text, NOW)


@given(st.data())
def test_a_token_that_was_changed_anywhere_proves_nothing(data):
    token = SIGNER.sign(BOUND, (AUDIENCE,), NOW, 600, "id")
    # The last letter carries bits that no byte of the signature has.
    at = data.draw(st.integers(0, len(token) - 2))
    letter = data.draw(st.sampled_from("abcXYZ019-_").filter(lambda one: one != token[at]))
    with pytest.raises(BadToken):
        SIGNER.read(token[:at] + letter + token[at + 1 :], NOW)


def test_user_names_of_service_accounts_are_read_strictly():
    assert account_of(account_name("a", "b.c")) == ("a", "b.c")
    assert account_groups("a") == ("system:serviceaccounts", "system:serviceaccounts:a")
    for name in ("bob", "system:serviceaccount:", "system:serviceaccount:a", "system:serviceaccount:a:B"):
        assert account_of(name) is None
