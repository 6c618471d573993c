"""Every option of oauth2-proxy 7.15, and what becomes of it. docs/from-oauth2-proxy.md is this table.

A line is: the name in its file, its kind and default, what becomes of it, and the words for that. ``to``: it is
translated; ``no``: it is not needed, and why; ``not``: there is no such thing here, and why. Leaving the last
out lets in fewer people at most; ``not!`` would let in more, or leave nothing that works, and so refuses.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["text", "list", "flag", "duration", "number"]
Verdict: TypeAlias = Literal["to", "no", "not", "not!"]

_TABLE: Final = """
acr_values | text | | to | `extra_authorization_parameters.acr_values`; that a login was so strong is asked for by `require: {acr: ...}`
allow_query_semicolons | flag | | no | queries go on as they came
allowed_groups | list | | to | `require: {groups: ...}` for all routes
allowed_roles | list | | to | `require: {roles: ...}`, with `roles_claim: realm_access.roles` (keycloak-oidc); Keycloak has to add roles to UserInfo
api_routes | list | | to | routes with `unauthenticated: reject`
approval_prompt | text | force | to | of Google `prompt: consent`, which is what it means; other providers do not know it
auth_logging | flag | true | no | logins, logouts and refusals are audit events, always
auth_logging_format | text | | no | audit events are JSON
auth_request_response_mode | text | | to | `response_mode`
authenticated_emails_file | text | | to | `claims: {email: [...]}` with the addresses that are in it now; it is not watched
azure_graph_group_field | text | | not! | groups are told by their ids alone: names can be given to other groups
azure_tenant | text | common | to | the issuer `https://login.microsoftonline.com/<tenant>/v2.0`; of `common` anybody's tenant comes in, so one has to be named
backend_logout_url | text | | no | a logout goes on at the provider's `end_session_endpoint` by itself, and revokes the refresh token
banner | text | | not | `pages.texts` has what pages say, `contact` whom to ask
basic_auth_password | text | | to | `authorization: {basic: ...}` of the routes, its password from `${env:GATEWAY_BASIC_PASSWORD}`
bearer_token_login_fallback | flag | true | no | a token that does not count is 401 with its reason, for machines as for people
bitbucket_repository | text | | not! | there is no preset for Bitbucket
bitbucket_team | text | | not! | there is no preset for Bitbucket
bitbucket_workspace | text | | not! | there is no preset for Bitbucket
client_id | text | | to | `providers.*.client_id`
client_secret | text | | to | `client_secret: ${env:GATEWAY_CLIENT_SECRET}`: secrets are not copied
client_secret_file | text | | to | `client_secret: ${file:...}`
code_challenge_method | text | | no | PKCE with S256, always
cookie_csrf_expire | duration | 15m | to | `session.login_lifetime`
cookie_csrf_per_request | flag | | no | every login has a cookie of its own
cookie_csrf_per_request_limit | number | 0 | no | at most 20 logins are pending in a browser
cookie_csrf_samesite | text | | no | `Lax`, or what the provider's way of answering needs
cookie_domains | list | | to | `login_host`, and `public_url` with `https://*.<domain>`: one login for all names of it (one label), each with a session of its own that no other can use; `cookie_domain` is one cookie for all
cookie_expire | duration | 168h | to | `session.absolute_lifetime`, `session.idle_lifetime`
cookie_httponly | flag | true | no | always
cookie_name | text | _oauth2_proxy | no | `__Host-gateway-...`: the prefix keeps other names of the domain from setting it
cookie_path | text | / | not | the prefix `__Host-` demands `/`: let the gateway serve the whole host
cookie_refresh | duration | 0s | no | access tokens are renewed before they expire, where a refresh token came (`offline_access`)
cookie_samesite | text | | no | `Lax`, always
cookie_secret | text | | no | sessions begin anew under a key of ours: `gateway keys generate`
cookie_secret_file | text | | no | sessions begin anew under a key of ours: `gateway keys generate`
cookie_secure | flag | true | no | always for an `https://` site
custom_sign_in_logo | text | | not | write the file into `pages.logo`, which takes no URL
custom_templates_dir | text | | not | its templates have expressions: `pages.templates` takes slots alone
disable_keep_alives | flag | | to | `upstreams.*.max_idle: 0`
display_htpasswd_form | flag | true | no | there are no passwords here
email_domains | list | | to | `require: {email_domains: ...}`; of subdomains `claims: {email: {matches: ...}}`; `*`: whoever has an address
encode_state | flag | | no | `state` is random and safe in a URL
entra_id_allowed_tenants | list | | to | `require: {claims: {tid: [...]}}`
entra_id_federated_token_auth | flag | | not! | the gateway has a secret, a signing key or a certificate (`client_auth`)
errors_to_info_log | flag | | no | every line has its level
exclude_logging_paths | list | | not | write `log: false` at the routes of these paths
extra_jwt_issuers | list | | to | providers with `bearer_only: true`
flush_interval | duration | 1s | no | responses go on as they come
footer | text | | not | `pages.templates` has what stands below, `contact` whom to ask
force_code_challenge_method | text | | no | PKCE with S256, always
force_https | flag | | not | whoever speaks http to a TLS port gets 400: let the proxy or balancer in front redirect
force_json_errors | flag | | to | `unauthenticated: reject` on every route
gcp_healthchecks | flag | | not | there is one path for balancers (`health_path`)
github_org | text | | to | `require: {groups: [org]}`
github_repo | text | | not! | who may write to a repository is not asked: require a team
github_team | text | | to | `require: {groups: [org/team]}`
github_token | text | | no | it is for `github_repo` alone
github_users | list | | to | `require: {claims: {login: [...]}}`, beside organisation and team
gitlab_groups | list | | to | `require: {groups: [...]}` by UserInfo; groups below one that is named do not count
gitlab_projects | list | | not! | who may work on a project is not asked: require a group
google_admin_api_user_scope | text | | no | it is for `google_use_organization_id` alone
google_admin_email | text | | no | it is for `google_groups` alone
google_group | list | | not! | Google tells groups by its admin API alone: require `claims: {hd: [...]}` or addresses
google_groups | list | | not! | Google tells groups by its admin API alone: require `claims: {hd: [...]}` or addresses
google_service_account_json | text | | no | it is for `google_groups` alone
google_target_principal | text | | no | it is for `google_groups` alone
google_use_application_default_credentials | flag | | no | it is for `google_groups` alone
google_use_organization_id | flag | | not | the user is `sub`; Google's admin API is not asked
htpasswd_file | text | | not | nobody's password is known here: machines get API keys
htpasswd_user_groups | list | | not | nobody's password is known here: machines get API keys
http_address | text | 127.0.0.1:4180 | to | `listen`
https_address | text | :443 | to | `listen`, where there is a certificate
insecure_oidc_allow_unverified_email | flag | | to | `email_verified: ignore`: upstreams are told the address; no rule on addresses lets one in that nobody vouches for
insecure_oidc_skip_issuer_verification | flag | | not | a token of another issuer never counts
insecure_oidc_skip_nonce | flag | true | no | the nonce is checked, always
jwt_key | text | | to | `client_auth: private_key_jwt`, `signing_keys: [${env:GATEWAY_SIGNING_KEY}]`
jwt_key_file | text | | to | `client_auth: private_key_jwt`, `signing_keys: [${file:...}]`
keycloak_groups | list | | to | `require: {groups: ...}`
logging_compress | flag | | no | lines go to standard error, a syslog or the journal (`log.to`), which rotate them
logging_filename | text | | no | lines go to standard error, a syslog or the journal (`log.to`), which rotate them
logging_local_time | flag | true | no | times are in UTC
logging_max_age | number | 7 | no | lines go to standard error, a syslog or the journal (`log.to`), which rotate them
logging_max_backups | number | 0 | no | lines go to standard error, a syslog or the journal (`log.to`), which rotate them
logging_max_size | number | 100 | no | lines go to standard error, a syslog or the journal (`log.to`), which rotate them
login_url | text | | to | `authorization_endpoint`
metrics_address | text | | to | `admin.listen`
metrics_secure_address | text | | not | the admin listener speaks plain HTTP, on an address that is not public
metrics_tls_cert_file | text | | not | the admin listener speaks plain HTTP, on an address that is not public
metrics_tls_key_file | text | | not | the admin listener speaks plain HTTP, on an address that is not public
oidc_audience_claims | list | aud | not! | a token is meant for whom its `aud` says; where there is none at all, `clients_without_aud`
oidc_email_claim | text | email | to | `claims: {email: ...}`
oidc_enabled_signing_algs | list | | to | `algorithms`
oidc_extra_audiences | list | | to | `audiences`, `id_token_audiences`
oidc_groups_claim | text | groups | to | `groups_claim`
oidc_issuer_url | text | | to | `providers.*.issuer`
oidc_jwks_url | text | | to | `jwks_uri`
oidc_public_key_files | list | | not! | keys come from the provider's JWK Set, so that they can change
pass_access_token | flag | | to | `authorization: access_token`: as `Authorization: Bearer`, and not as X-Forwarded-Access-Token
pass_authorization_header | flag | | not | an ID token is for the gateway alone: upstreams get headers, a signed assertion or the access token
pass_basic_auth | flag | true | to | `identity_headers`; with `basic_auth_password` also `authorization: {basic: ...}`
pass_host_header | flag | true | to | `upstreams.*.host`
pass_user_headers | flag | true | to | `identity_headers`
ping_path | text | /ping | to | `health_path`
ping_user_agent | text | | not | balancers ask by path
prefer_email_to_user | flag | | to | `identity_headers: {X-Forwarded-User: email}`
profile_url | text | | to | `userinfo_endpoint`
prompt | text | | to | `extra_authorization_parameters.prompt`
provider | text | google | to | the issuer, or `kind: oauth2` with a preset
provider_ca_files | list | | to | `ca_file`: one file, which may hold several certificates
provider_display_name | text | | to | `label`
proxy_prefix | text | /oauth2 | to | `prefix`, so that the callback stays what is registered
proxy_websockets | flag | true | no | WebSockets go on where the route lets in; who is revoked is cut off
pubjwk_url | text | | no | the gateway publishes its keys itself
ready_path | text | /ready | no | `/readyz` of the admin listener
real_client_ip_header | text | X-Real-IP | to | `forwarding.address`
redeem_url | text | | to | `token_endpoint`
redirect_url | text | | to | `public_url`; a path of its own below `proxy_prefix` is the provider's `callback`, another has to be registered anew
redis_ca_path | text | | to | `redis.tls.ca_file`
redis_cluster_connection_urls | list | | to | `redis.cluster`
redis_connection_idle_timeout | number | 0 | no | connections to the store are looked after
redis_connection_url | text | | to | `redis.url`, from `${env:GATEWAY_REDIS_URL}` where it holds a password
redis_insecure_skip_tls_verify | flag | | to | `redis.tls.verify: false`
redis_password | text | | to | `redis.password: ${env:GATEWAY_REDIS_PASSWORD}`
redis_sentinel_connection_urls | list | | to | `redis.sentinel.nodes`
redis_sentinel_master_name | text | | to | `redis.sentinel.service`
redis_sentinel_password | text | | to | `redis.sentinel.password: ${env:GATEWAY_SENTINEL_PASSWORD}`
redis_use_cluster | flag | | to | `redis.cluster`
redis_use_sentinel | flag | | to | `redis.sentinel`
redis_username | text | | to | `redis.username`
relative_redirect_url | flag | | not | the address to come back to is absolute, and from the configuration
request_id_header | text | X-Request-Id | no | each request gets an id of the gateway's own, as X-Request-ID
request_logging | flag | true | to | `log.access`
request_logging_format | text | | no | lines are JSON; `log.format` knows `combined` and `logfmt` as well
resource | text | | to | `resources` where it is a URI, else a parameter of the login
reverse_proxy | flag | | to | `trusted_proxies`, from `trusted_proxy_ips`, which has to name them
scope | text | | to | `scopes`
session_cookie_minimal | flag | | no | no token is kept that nobody needs
session_store_type | text | cookie | to | `session.mode`
set_authorization_header | flag | | not | an ID token is for the gateway alone: see `pass_authorization_header`
set_basic_auth | flag | | to | `authorization: {basic: ...}`, which proxies that ask are told
set_xauthrequest | flag | | to | `identity_headers` with the names X-Auth-Request-..., and `asked_by: [nginx]`
show_debug_on_error | flag | | not | what went wrong inside is for the log
signature_key | text | | not | signed by a shared secret: `upstreams.*.assertion` is signed by a key that upstreams need not keep secret
silence_ping_logging | flag | | no | what balancers ask has no line
skip_auth_preflight | flag | | to | `preflight: forward`, for what is a preflight and nothing else
skip_auth_regex | list | | to | public routes, where it is a prefix or a path
skip_auth_routes | list | | to | public routes, where it is a prefix or a path
skip_auth_strip_headers | flag | true | no | no client can send a field by which identities are told, on any route
skip_claims_from_profile_url | flag | | to | `userinfo: false`
skip_jwt_bearer_tokens | flag | | to | `audiences`, and `token_userinfo` for what a token does not say: access tokens; an ID token never counts as one
skip_oidc_discovery | flag | | to | the endpoints that are named win; the discovery document has to be there all the same
skip_provider_button | flag | | no | a navigation goes to the provider at once
ssl_insecure_skip_verify | flag | | not | whoever can pose as the provider can be anybody: `ca_file` names its authority
ssl_upstream_insecure_skip_verify | flag | | to | `upstreams.*.tls.verify: false`
standard_logging | flag | true | no | `log.level` says how much
standard_logging_format | text | | no | lines are JSON, or logfmt (`log.format`)
tls_cert_file | text | | to | `tls.certificate`
tls_cipher_suites | list | | not | those of OpenSSL's default for the version; no weak ones are among them
tls_key_file | text | | to | `tls.key`
tls_min_version | text | | to | `tls.minimum_version`
trusted_ips | list | | not | an address is nobody: a public route, or an API key for a machine; `networks` asks for one besides
trusted_proxy_ips | list | | to | `trusted_proxies`
upstream_timeout | duration | 30s | to | `upstreams.*.response_timeout`
upstreams | list | | to | `upstreams` and `routes`; of `static://` alone `asked_by: [nginx]`; no files are served
use_system_trust_store | flag | | not | with `ca_file` its authorities alone are trusted
user_id_claim | text | email | to | `claims: {email: ...}`, as it has been since `oidc_email_claim`
validate_url | text | | no | no access token is asked about at a login
whitelist_domains | list | | to | with `cookie_domains` more sites under `public_url`; without it people come back to the site that they came from, and to no other
"""

_COMMAND_LINE: Final = """
alpha_config | `--alpha-config FILE` of the import; see below
config | the FILE of the import; options of the command line and of the environment are written as lines of it
config_test | `gateway check`
convert_config_to_alpha | no second format
version | `gateway --version`
"""


@dataclass(frozen=True, slots=True)
class Option:
    """One option. ``default`` is as written in a file."""

    name: str
    kind: Kind
    default: str
    verdict: Verdict
    words: str


def _options() -> dict[str, Option]:
    found = {}
    for line in _TABLE.strip().splitlines():
        name, kind, default, verdict, words = (part.strip() for part in line.split("|", 4))
        found[name] = Option(name, kind, default, verdict, words)  # type: ignore[arg-type]
    return found


OPTIONS: Final = _options()
"""Every option that a file may have, by its name there."""
COMMAND_LINE: Final = {
    name.strip(): words.strip()
    for name, _, words in (line.partition("|") for line in _COMMAND_LINE.strip().splitlines())
}
"""What the command line alone has, and what stands for it."""
