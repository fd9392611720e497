#include "conf/schema.h"

#include <limits>

#include "conf/grammar.h"
#include "conf/places.h"
#include "conf/read_values.h"

namespace limpet::conf {
namespace {

constexpr int64_t kMostWorkers = 1024;
constexpr int64_t kMostHeaders = 10'000;
constexpr int64_t kMostHandshakes = 1'000'000;
constexpr int64_t kMostStreams = 10'000;
constexpr int64_t kMostSessions = 1'000'000'000;  // at some 50 bytes each this fills most machines

// Nobody waits longer for a byte; sessions, which people come back to, may live for a year.
constexpr Span kWait = {1ms, 24h};
constexpr Span kSessionLife = {1s, 365 * 24h};
constexpr Span kDormancy = {0s, kSessionLife.most};

// Checks more often would be a load of their own, and times are kept to some 10 ms.
constexpr Span kCheckWait = {10ms, 24h};
constexpr int64_t kMostInSuccession = 1000;
constexpr int64_t kMostRetries = 1'000'000;  // a second
constexpr int64_t kMostRate = 10'000;        // a second, for times are kept to the microsecond
constexpr int64_t kMostBurst = 100'000;      // which at one a second lasts for a day
constexpr int64_t kMostFailures = 10'000;    // clients; each is remembered until the window is over

const Text<std::string> kName = {parse_name, "1 to 64 letters, digits, \".\", \"_\" and \"-\""};
const Text<std::string> kFileName = {parse_file_name,
                                     "a file's path, relative to this file's folder or absolute"};

const Secret kSecret = {parse_secret, "64 hexadecimal digits, as from `openssl rand -hex 32`"};
const Text<std::string> kPath = {parse_route_path, "a path that begins with \"/\""};
const List<StatusCodes> kStatusCodes = {{}, "a list"};

const Keys<Log>& log_keys() {
  static const Keys<Log> keys = {
      key("level", &Log::level,
          Word<LogLevel>{{{"debug", LogLevel::debug},
                          {"info", LogLevel::info},
                          {"warning", LogLevel::warning},
                          {"error", LogLevel::error}}}),
      key("access", &Log::access,
          Text<std::string>{
              parse_file_name,
              "\"stdout\", \"off\" or a file's path, relative to this file's folder or absolute"}),
      key("access_format", &Log::access_format,
          Word<AccessFormat>{{{"json", AccessFormat::json}, {"combined", AccessFormat::combined}}}),
  };
  return keys;
}

const Keys<Secrets>& secrets_keys() {
  static const Keys<Secrets> keys = {
      key("keys", &Secrets::keys, List<Secret>{kSecret, "a list of at most 8", Secrets::kMostKeys}),
      key("hash_secret", &Secrets::hash_secret, kSecret),
      key("key_file", &Secrets::key_file, kFileName),
  };
  return keys;
}

const Keys<Limits>& limits_keys() {
  static const Keys<Limits> keys = {
      key("head", &Limits::head, Size{1 * KiB, 1 * MiB}),
      key("target", &Limits::target, Size{64, 1 * MiB}),
      key("headers", &Limits::headers, Integer{1, kMostHeaders}),
      key("body", &Limits::body, Size{1, 1024 * GiB, "no limit"}),
      key("streams", &Limits::streams, Integer{1, kMostStreams}),
      key("handshakes", &Limits::handshakes, Integer{1, kMostHandshakes}),
  };
  return keys;
}

const Keys<ClientTimeouts>& client_timeouts_keys() {
  static const Keys<ClientTimeouts> keys = {
      key("idle", &ClientTimeouts::idle, kWait),
      key("head", &ClientTimeouts::head, kWait),
      key("handshake", &ClientTimeouts::handshake, kWait),
      key("body", &ClientTimeouts::body, kWait),
      key("body_rate", &ClientTimeouts::body_rate, Size{1, 1 * GiB, "no least rate"}),
  };
  return keys;
}

const Keys<TlsCertificate>& tls_certificate_keys() {
  static const Keys<TlsCertificate> keys = {
      key("file", &TlsCertificate::file, kFileName, Need::required),
      key("key", &TlsCertificate::key, kFileName),
  };
  return keys;
}

const Keys<TlsClients>& tls_clients_keys() {
  using Mode = TlsClients::Mode;
  static const Text<std::string> kField = {parse_field_name,
                                           "a field's name, such as \"X-Client-Subject\", or \"\" for none"};
  static const Keys<TlsClients> keys = {
      key("mode", &TlsClients::mode,
          Word<Mode>{{{"none", Mode::none}, {"optional", Mode::optional}, {"required", Mode::required}}}),
      key("ca", &TlsClients::ca, kFileName),
      key("verified", &TlsClients::verified, kField),
      key("subject", &TlsClients::subject, kField),
      key("san", &TlsClients::san, kField),
      key("fingerprint", &TlsClients::fingerprint, kField),
  };
  return keys;
}

Key<ListenerTls> certificates_key(std::string_view header) {
  return key("certificates", &ListenerTls::certificates,
             Tables<TlsCertificate>{tls_certificate_keys(), header}, Need::required);
}

Key<ListenerTls> profile_key() {
  return key("profile", &ListenerTls::profile,
             Word<TlsProfile>{{{"intermediate", TlsProfile::intermediate}, {"modern", TlsProfile::modern}}});
}

const Keys<ListenerTls>& listener_tls_keys() {
  static const Keys<ListenerTls> keys = {
      certificates_key("listener.tls.certificates"),
      profile_key(),
      key("strict_sni", &ListenerTls::strict_sni, Boolean{}),
      key("shared_tickets", &ListenerTls::shared_tickets, Boolean{}),
      key("hsts", &ListenerTls::hsts,
          Text<std::string>{parse_hsts,
                            "\"max-age=31536000\", with or without \"; includeSubDomains\" and \"; "
                            "preload\", or \"\" for none"}),
      key("early_data", &ListenerTls::early_data, Boolean{}),
      key("clients", &ListenerTls::clients, Table<TlsClients>{tls_clients_keys(), "listener.tls.clients"}),
  };
  return keys;
}

const Keys<ListenerTls>& status_tls_keys() {
  static const Keys<ListenerTls> keys = {certificates_key("status.tls.certificates"), profile_key()};
  return keys;
}

const Keys<Status>& status_keys() {
  static const Keys<Status> keys = {
      key("address", &Status::address,
          Text<std::optional<Address>>{parse_status_address,
                                       "an IP address and a port, \"127.0.0.1:9180\", \"[::1]:9180\", or "
                                       "\"*:9180\" for all addresses, or \"off\""}),
      key("token", &Status::token,
          Secret{parse_status_token,
                 "at least 16 characters of printable ASCII without spaces, as from "
                 "`openssl rand -hex 32`"}),
      key("token_file", &Status::token_file, kFileName),
      key("tls", &Status::tls, Table<ListenerTls>{status_tls_keys(), "status.tls"}),
  };
  return keys;
}

const Keys<ListenerLimits>& listener_limits_keys() {
  static const Integer kNumber = {0, std::numeric_limits<uint32_t>::max()};
  static const Keys<ListenerLimits> keys = {
      key("connections", &ListenerLimits::connections, kNumber),
      key("connections_per_client", &ListenerLimits::connections_per_client, kNumber),
      key("new_connections_per_second", &ListenerLimits::new_connections_per_second, Integer{0, kMostRate}),
  };
  return keys;
}

const Keys<Listener>& listener_keys() {
  static const List<Text<Cidr>> kNetworks = {
      {parse_network, "an IP address or network, \"10.0.0.0/8\" or \"2001:db8::/32\""}, "a list"};
  static const Keys<Listener> keys = {
      key("name", &Listener::name, kName),
      key("address", &Listener::address,
          Text<Address>{
              parse_listener_address,
              "an IP address and a port, \"127.0.0.1:80\", \"[::1]:80\", or \"*:80\" for all addresses"},
          Need::required),
      key("proxy_protocol", &Listener::proxy_protocol, Boolean{}),
      key("proxy_protocol_from", &Listener::proxy_protocol_from, kNetworks),
      key("trusted_proxies", &Listener::trusted_proxies, kNetworks),
      key("forwarded", &Listener::forwarded,
          Word<ForwardedStyle>{{{"x-forwarded", ForwardedStyle::x_forwarded},
                                {"forwarded", ForwardedStyle::forwarded},
                                {"both", ForwardedStyle::both},
                                {"none", ForwardedStyle::none}}}),
      key("strict_paths", &Listener::strict_paths, Boolean{}),
      key("underscores", &Listener::underscores,
          Word<Underscores>{{{"drop", Underscores::drop}, {"pass", Underscores::pass}}}),
      key("traceparent", &Listener::traceparent,
          Word<Traceparent>{{{"pass", Traceparent::pass}, {"make", Traceparent::make}}}),
      key("http2", &Listener::http2, Boolean{}),
      key("half_close", &Listener::half_close, Boolean{}),
      key("redirect_to_https", &Listener::redirect_to_https, Boolean{}),
      key("acme_challenges", &Listener::acme_challenges,
          Text<std::string>{parse_file_name, "a folder's path, relative to this file's folder or absolute"}),
      key("limits", &Listener::limits, Table<ListenerLimits>{listener_limits_keys(), "listener.limits"}),
      key("tls", &Listener::tls, Table<ListenerTls>{listener_tls_keys(), "listener.tls"}),
  };
  return keys;
}

// A reference to a listener may be "" (every one), or the only listener's address.
Parsed<std::string> parse_reference(std::string_view text) { return std::string(text); }

const Keys<Route>& route_keys() {
  static const Keys<Route> keys = {
      key("listener", &Route::listener,
          Text<std::string>{parse_reference, "a listener's name, or \"\" for every listener"}),
      key("host", &Route::host,
          Text<std::string>{parse_route_host,
                            "a host name, \"shop.example.com\", or every name below one, \"*.example.com\""}),
      key("path", &Route::path, kPath),
      key("pool", &Route::pool, Text<std::string>{parse_reference, "a pool's name"}, Need::required),
  };
  return keys;
}

const Keys<IpAffinity>& ip_keys() {
  static const Keys<IpAffinity> keys = {
      key("mask_v4", &IpAffinity::mask_v4, Integer{0, 32}),
      key("mask_v6", &IpAffinity::mask_v6, Integer{0, 128}),
  };
  return keys;
}

const Keys<CookieAffinity>& cookie_keys() {
  static const Keys<CookieAffinity> keys = {
      key("name", &CookieAffinity::name,
          Text<std::string>{parse_cookie_name,
                            "a token (RFC 6265), or \"\" for \"limpet_\" and the pool's name"}),
      key("path", &CookieAffinity::path,
          Text<std::string>{parse_cookie_path, "a path that begins with \"/\""}),
      key("domain", &CookieAffinity::domain,
          Text<std::string>{parse_domain, "a host name, or \"\" for the host alone"}),
      key("secure", &CookieAffinity::secure, SecureCookie{}),
      key("http_only", &CookieAffinity::http_only, Boolean{}),
      key("same_site", &CookieAffinity::same_site,
          Word<SameSite>{{{"unset", SameSite::unset},
                          {"lax", SameSite::lax},
                          {"strict", SameSite::strict},
                          {"none", SameSite::none}}}),
      key("partitioned", &CookieAffinity::partitioned, Boolean{}),
      key("attributes", &CookieAffinity::attributes,
          List<Text<std::string>>{{parse_cookie_attribute, "a further attribute, such as \"Priority=High\""},
                                  "a list"}),
      key("absolute_timeout", &CookieAffinity::absolute_timeout,
          Span{kSessionLife.least, kSessionLife.most, "none"}),
  };
  return keys;
}

const List<Text<SessionIdSource>> kSources = {{parse_source,
                                               "a place and a name, \"cookie:JSESSIONID\", "
                                               "\"header:Mcp-Session-Id\", \"query:sid\" or "
                                               "\"path:jsessionid\""},
                                              "a list"};

const Keys<SessionIdAffinity>& session_id_keys() {
  static const Keys<SessionIdAffinity> keys = {
      key("sources", &SessionIdAffinity::sources, kSources),
      key("adopts_ids", &SessionIdAffinity::adopts_ids, Boolean{}),
  };
  return keys;
}

const Keys<PoolTimeouts>& pool_timeouts_keys() {
  static const Keys<PoolTimeouts> keys = {
      key("connect", &PoolTimeouts::connect, kWait), key("head", &PoolTimeouts::head, kWait),
      key("body", &PoolTimeouts::body, kWait),       key("stream", &PoolTimeouts::stream, kWait),
      key("tunnel", &PoolTimeouts::tunnel, kWait),   key("keep_alive", &PoolTimeouts::keep_alive, kWait),
  };
  return keys;
}

const Keys<HealthCheck>& health_keys() {
  static const Keys<HealthCheck> keys = {
      key("check", &HealthCheck::kind,
          Word<HealthCheck::Kind>{{{"none", HealthCheck::Kind::none},
                                   {"tcp", HealthCheck::Kind::tcp},
                                   {"http", HealthCheck::Kind::http},
                                   {"grpc", HealthCheck::Kind::grpc}}}),
      key("method", &HealthCheck::method,
          Word<std::string>{{{"GET", "GET"}, {"HEAD", "HEAD"}, {"OPTIONS", "OPTIONS"}, {"POST", "POST"}}}),
      key("path", &HealthCheck::path,
          Text<std::string>{parse_check_path, "a path that begins with \"/\", with or without a query"}),
      key("service", &HealthCheck::service,
          Text<std::string>{parse_grpc_service,
                            "a service's name, such as \"shop.v1.Cart\", or \"\" for the server as a whole"}),
      key("host", &HealthCheck::host,
          Text<std::string>{parse_check_host,
                            "a host, \"shop.example.com\" or \"shop.example.com:8443\", or \"\" for the "
                            "backend's address"}),
      key("status", &HealthCheck::status, kStatusCodes),
      key("body", &HealthCheck::body, Text<std::string>{parse_body_text, "a text of at most 1024 bytes"}),
      key("drain_status", &HealthCheck::drain_status, kStatusCodes),
      key("instance_header", &HealthCheck::instance_header,
          Text<std::string>{parse_field_name, "a field's name, such as \"X-Instance\", or \"\" for none"}),
      key("port", &HealthCheck::port, Integer{0, 65535}),
      key("tls", &HealthCheck::tls, Boolean{}),
      key("interval", &HealthCheck::interval, kCheckWait),
      key("fast_interval", &HealthCheck::fast_interval, kCheckWait),
      key("timeout", &HealthCheck::timeout, kCheckWait),
      key("rise", &HealthCheck::rise, Integer{1, kMostInSuccession}),
      key("fall", &HealthCheck::fall, Integer{1, kMostInSuccession}),
  };
  return keys;
}

const Keys<PassiveHealth>& passive_keys() {
  static const Keys<PassiveHealth> keys = {
      key("failures", &PassiveHealth::failures, Integer{0, kMostFailures}),
      key("window", &PassiveHealth::window, kWait),
      key("status", &PassiveHealth::status, kStatusCodes),
      key("max_down_percent", &PassiveHealth::max_down_percent, Integer{0, 100}),
  };
  return keys;
}

const Keys<Retries>& retries_keys() {
  static const Keys<Retries> keys = {
      key("percent", &Retries::percent, Integer{0, 100}),
      key("floor", &Retries::floor, Integer{0, kMostRetries}),
  };
  return keys;
}

const Keys<RequestRate>& rate_keys() {
  static const Keys<RequestRate> keys = {
      key("requests", &RequestRate::requests, Integer{0, kMostRate}),
      key("burst", &RequestRate::burst, Integer{0, kMostBurst}),
      key("by", &RequestRate::by, word<RateBy>()),
  };
  return keys;
}

const Keys<Backend>& backend_keys() {
  static const Keys<Backend> keys = {
      key("name", &Backend::name, kName, Need::required),
      key("address", &Backend::address,
          Text<Address>{
              parse_backend_address,
              "\"10.0.0.1:8080\", \"[2001:db8::1]:8080\", \"app.internal:8080\" or \"unix:/run/app.sock\""},
          Need::required),
      key("weight", &Backend::weight, Integer{0, 65535}),
      key("max_sessions", &Backend::max_sessions, Integer{0, std::numeric_limits<uint32_t>::max()}),
      key("max_connections", &Backend::max_connections, Integer{0, std::numeric_limits<uint32_t>::max()}),
      key("backup", &Backend::backup,
          Text<std::string>{parse_reference,
                            "another backend's name, or \"\" for the next in rendezvous order"}),
      key("health", &Backend::health, Table<HealthCheck>{health_keys(), "pool.backend.health"}),
  };
  return keys;
}

// Their checks begin as the pool's, which has been read before them.
Key<Pool> backends_key() {
  const Tables<Backend> reader = {backend_keys(), "pool.backend"};
  Key<Pool> made = key("backend", &Pool::backends, reader, Need::required);
  made.read = [reader](const At& at, Pool& pool) {
    Backend initial;
    initial.health = pool.health;
    reader.read(at, pool.backends, initial);
  };
  return made;
}

const Keys<PoolTls>& pool_tls_keys() {
  static const Keys<PoolTls> keys = {
      key("name", &PoolTls::name,
          Text<std::string>{parse_server_name,
                            "a host name or an IP address, or \"\" for each backend's own host"}),
      key("ca", &PoolTls::ca, kFileName),
      key("insecure", &PoolTls::insecure, Boolean{}),
      key("certificate", &PoolTls::certificate, kFileName),
      key("key", &PoolTls::key, kFileName),
  };
  return keys;
}

const Keys<Pool>& pool_keys() {
  static const Keys<Pool> keys = {
      key("name", &Pool::name, kName, Need::required),
      key("affinity", &Pool::affinity, OneOrMore<Word<AffinityKind>>{word<AffinityKind>()}),
      key("storage", &Pool::storage, word<Storage>()),
      key("placement", &Pool::placement, word<Placement>()),
      key("failover", &Pool::failover, word<Failover>()),
      key("failback", &Pool::failback, word<Failback>()),
      key("stateless_paths", &Pool::stateless_paths, List<Text<std::string>>{kPath, "a list"}),
      key("patience", &Pool::patience, Span{0s, 1h}),
      key("queue_timeout", &Pool::queue_timeout, Span{1ms, 1h}),
      key("shed", &Pool::shed, word<Shed>()),
      key("shed_in_flight", &Pool::shed_in_flight, Integer{0, std::numeric_limits<uint32_t>::max()}),
      key("shed_queue_time", &Pool::shed_queue_time, Span{0s, 1h}),
      key("idle_timeout", &Pool::idle_timeout, kSessionLife),
      key("unreturned_timeout", &Pool::unreturned_timeout, kSessionLife),
      key("dormant_timeout", &Pool::dormant_timeout, kDormancy),
      key("renewal_grace", &Pool::renewal_grace, Span{0s, 1h}),
      key("max_sessions", &Pool::max_sessions, Integer{1, kMostSessions}),
      key("slow_start", &Pool::slow_start, Span{0s, 24h}),
      key("drain_timeout", &Pool::drain_timeout, Span{0s, kSessionLife.most}),
      key("ip", &Pool::ip, Table<IpAffinity>{ip_keys(), "pool.ip"}),
      key("cookie", &Pool::cookie, Table<CookieAffinity>{cookie_keys(), "pool.cookie"}),
      key("evidence", &Pool::evidence, kSources),
      key("session_id", &Pool::session_id, Table<SessionIdAffinity>{session_id_keys(), "pool.session_id"}),
      key("timeouts", &Pool::timeouts, Table<PoolTimeouts>{pool_timeouts_keys(), "pool.timeouts"}),
      key("health", &Pool::health, Table<HealthCheck>{health_keys(), "pool.health"}),
      key("passive", &Pool::passive, Table<PassiveHealth>{passive_keys(), "pool.passive"}),
      key("retries", &Pool::retries, Table<Retries>{retries_keys(), "pool.retries"}),
      key("rate", &Pool::rate, Table<RequestRate>{rate_keys(), "pool.rate"}),
      key("protocol", &Pool::protocol,
          Word<Protocol>{{{"http/1.1", Protocol::http1}, {"h2", Protocol::http2}}}),
      key("send_proxy", &Pool::send_proxy, Integer{0, 2}),
      key("tls", &Pool::tls, OptionalTable<PoolTls>{{pool_tls_keys(), "pool.tls"}}),
      backends_key(),
  };
  return keys;
}

}  // namespace

const Keys<Settings>& settings_keys() {
  static const Keys<Settings> keys = {
      key("workers", &Settings::workers, Integer{0, kMostWorkers}),
      key("user", &Settings::user, kName),
      key("shutdown_timeout", &Settings::shutdown_timeout, Span{0s, 24h}),
      key("via", &Settings::via,
          Text<std::string>{parse_via, "a token (RFC 9110), such as \"limpet\", or \"\" for none"}),
      key("log", &Settings::log, Table<Log>{log_keys(), "log"}),
      key("secrets", &Settings::secrets, Table<Secrets>{secrets_keys(), "secrets"}),
      key("limits", &Settings::limits, Table<Limits>{limits_keys(), "limits"}),
      key("timeouts", &Settings::timeouts, Table<ClientTimeouts>{client_timeouts_keys(), "timeouts"}),
      key("status", &Settings::status, Table<Status>{status_keys(), "status"}),
      key("listener", &Settings::listeners, Tables<Listener>{listener_keys(), "listener"}, Need::required),
      key("route", &Settings::routes, Tables<Route>{route_keys(), "route"}),
      key("pool", &Settings::pools, Tables<Pool>{pool_keys(), "pool"}, Need::required),
  };
  return keys;
}

}  // namespace limpet::conf
