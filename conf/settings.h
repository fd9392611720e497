// Everything an operator may say, as typed values with their defaults.
//
// One struct for each table of the file; units live in the types. A Settings that came out of load() is
// consistent: names are unique, references resolve, ranges hold. It never changes afterwards.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conf/ip_address.h"

namespace limpet::conf {

using Duration = std::chrono::milliseconds;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""min;
using std::chrono_literals::operator""h;

constexpr uint64_t millis(Duration duration) { return static_cast<uint64_t>(duration.count()); }

inline constexpr uint64_t KiB = 1024, MiB = 1024 * KiB, GiB = 1024 * MiB;

// A place to listen at or to connect to.
struct Address {
  enum class Kind : uint8_t { ip, host, unix_socket };
  Kind kind = Kind::ip;
  std::string host;  // an IP literal without brackets, a host name, or a socket's path
  uint16_t port = 0;
  // As an operator writes it: "127.0.0.1:80", "[::1]:80", "app:80", "unix:/run/app.sock".
  std::string text() const;
  bool is_loopback() const;       // an IP literal that is
  std::string authority() const;  // as Host says it; a socket's path is none
  bool operator==(const Address&) const = default;
};

// How the client's own request is told to the backend (RFC 7239 and its predecessors).
enum class ForwardedStyle : uint8_t { x_forwarded, forwarded, both, none };

// What becomes of a field like X_Real_IP, which many applications take for X-Real-IP.
enum class Underscores : uint8_t { drop, pass };

// What becomes of a request that says nothing valid of the trace that it belongs to (W3C Trace Context).
enum class Traceparent : uint8_t {
  pass,  // it says that to the backend
  make,  // it begins a trace
};

// A certificate with its chain, and its private key, in PEM files.
struct TlsCertificate {
  std::string file;
  std::string key;  // empty: it is in `file`
  bool operator==(const TlsCertificate&) const = default;
};

// Mozilla's: `intermediate` is TLS 1.2 and 1.3, `modern` 1.3 alone.
enum class TlsProfile : uint8_t { intermediate, modern };

// Certificates that clients show.
struct TlsClients {
  enum class Mode : uint8_t {
    none,
    optional,  // whoever shows none, or one that is not believed, is served as well
    required,  // and is refused in the handshake
  };
  Mode mode = Mode::none;
  std::string ca;  // a PEM file with those that issue the ones that are believed; not empty but with `none`
  // Names of fields that tell the backend; empty: it is not told. No two are alike.
  std::string verified, subject, san, fingerprint;
  std::array<const std::string*, 4> fields() const { return {&verified, &subject, &san, &fingerprint}; }
  explicit operator bool() const { return mode != Mode::none; }
  bool operator==(const TlsClients&) const = default;
};

struct ListenerTls {
  // By the name that a client asks for; of several for one name the first of each kind of key. Empty: no TLS.
  std::vector<TlsCertificate> certificates;
  TlsProfile profile = TlsProfile::intermediate;
  bool strict_sni = false;  // a client that asks for none of their names is refused; else the first is shown
  bool shared_tickets = false;  // whoever has the same secrets resumes the sessions of this one
  // What Strict-Transport-Security says, "max-age=31536000; includeSubDomains" (RFC 6797); empty: nothing.
  std::string hsts = {};
  bool early_data = false;  // requests that may be sent twice are served before the handshake is over
  TlsClients clients = {};
  explicit operator bool() const { return !certificates.empty(); }
  bool operator==(const ListenerTls&) const = default;
};

// Connections that a listener takes, over all workers; those beyond are reset at once. 0: any number.
struct ListenerLimits {
  uint32_t connections = 0;
  // Of one client: an IPv4 address or an IPv6 /64 that is no trusted proxy's.
  uint32_t connections_per_client = 0;
  uint32_t new_connections_per_second = 0;  // and as many at once
  bool operator==(const ListenerLimits&) const = default;
};

struct Listener {
  std::string name;  // unique; the only listener may go without: then it is its address' text
  Address address;   // kind ip; host "*" listens on every IPv6 and IPv4 address; port 0: the system picks one
  bool proxy_protocol = false;  // connections begin with a PROXY protocol header, version 1 or 2
  // Of these peers only; of others none is expected, and none is believed. Empty: of everybody.
  std::vector<Cidr> proxy_protocol_from = {};
  std::vector<Cidr> trusted_proxies;  // peers whose X-Forwarded-* and Forwarded are believed
  ForwardedStyle forwarded = ForwardedStyle::x_forwarded;
  bool strict_paths = false;  // paths with "%2f", "%5c" or "%00", which servers read differently, are refused
  Underscores underscores = Underscores::drop;  // from peers that are no trusted proxies
  Traceparent traceparent = Traceparent::pass;
  bool http2 = true;        // is spoken with clients that offer it, or begin with it
  bool half_close = false;  // a client that has sent its last byte still waits for its answers
  ListenerTls tls = {};
  bool redirect_to_https = false;  // whoever comes without TLS is sent to the same place with it
  // A folder with the answers to challenges of ACME (RFC 8555, section 8.3), by token; empty: none.
  std::string acme_challenges = {};
  ListenerLimits limits = {};
  bool operator==(const Listener&) const = default;
};

// Which pool serves a request: by host name first (exact, then wildcard, then any), then by the longest path
// prefix. No two routes of a listener have the same host and path.
struct Route {
  std::string listener;  // empty: every listener
  // Lower case, without a port, an IPv6 literal in brackets. "*.example.com" matches every name below it;
  // empty: any.
  std::string host;
  // A prefix of whole path segments, in its normal form (normal_path.h); does not end in "/" unless it is
  // "/".
  std::string path = "/";
  std::string pool;
  bool operator==(const Route&) const = default;
};

// What is spoken with backends; with clients what they offer is.
enum class Protocol : uint8_t { http1, http2 };

enum class AffinityKind : uint8_t { ip, cookie, session_id };
enum class Storage : uint8_t { local, backup, replicated, shared };
enum class Placement : uint8_t { least_sessions, round_robin, hash, random_two };
enum class Failover : uint8_t { move, refuse };
enum class Failback : uint8_t { stay, go_home };
enum class Shed : uint8_t { off, new_sessions };
enum class RateBy : uint8_t { client, session };
enum class SameSite : uint8_t { unset, lax, strict, none };
enum class Secure : uint8_t { no, yes, automatic };  // automatic: where the client is believed to use TLS

struct IpAffinity {
  uint8_t mask_v4 = 32;  // bits, 0..32
  uint8_t mask_v6 = 64;  // bits, 0..128
  bool operator==(const IpAffinity&) const = default;
};

struct CookieAffinity {
  std::string name;  // empty: "limpet_" + the pool's name
  std::string path = "/";
  std::string domain;  // empty: the host alone
  Secure secure = Secure::no;
  bool http_only = true;
  SameSite same_site = SameSite::lax;
  bool partitioned = false;
  std::vector<std::string> attributes;  // appended as they stand, for example "Priority=High"
  Duration absolute_timeout = 0s;       // since the token was first issued; 0: none
  bool operator==(const CookieAffinity&) const = default;
};

// One place in a request where the application's session id may be.
struct SessionIdSource {
  enum class Place : uint8_t { cookie, header, query, path };
  Place place = Place::cookie;
  std::string name;
  bool operator==(const SessionIdSource&) const = default;
};

struct SessionIdAffinity {
  std::vector<SessionIdSource> sources;  // the first that holds an id wins; not empty if the pool uses them
  bool adopts_ids = false;               // the application silently takes up an id that it does not know
  bool operator==(const SessionIdAffinity&) const = default;
};

struct PoolTimeouts {
  Duration connect = 5s;  // to establish a connection to a backend
  Duration head = 60s;    // from the request's last byte to the head of the backend's final answer
  Duration body = 60s;    // between two pieces of the backend's answer
  Duration stream = 1h;   // the same where that tells of things as they happen: events, lines, calls
  Duration tunnel = 1h;   // without a byte either way after an upgrade, while both ends may speak and take
  Duration keep_alive = 60s;  // an unused backend connection is kept this long
  bool operator==(const PoolTimeouts&) const = default;
};

struct StatusRange {  // of HTTP status codes
  uint16_t from = 0, to = 0;
  bool contains(int status) const { return from <= status && status <= to; }
  bool operator==(const StatusRange&) const = default;
};
bool contain(const std::vector<StatusRange>& ranges, int status);  // one of them does

// How a backend is asked whether it can serve.
struct HealthCheck {
  // With none a backend is asked HEAD /, and only while requests put it in doubt or it is down.
  enum class Kind : uint8_t { none, tcp, http, grpc };
  Kind kind = Kind::none;
  std::string method = "GET";  // GET, HEAD, OPTIONS or POST
  std::string path = "/";      // with a query, if there is one
  std::string service;         // that grpc.health.v1 is asked of; empty: the server as a whole
  std::string host;            // of the Host field; empty: the backend's address
  std::vector<StatusRange> status = {{200, 399}};  // what passes; not empty
  std::string body;                                // a text that it has to contain; empty: any
  std::vector<StatusRange> drain_status;           // what asks to be drained, also where it would pass
  std::string instance_header;                     // of the answer: names the server's start; empty: none
  uint16_t port = 0;                               // 0: the backend's own
  bool tls = false;
  Duration interval = 5s;
  // At most the interval; where nobody says them they shrink with it.
  Duration fast_interval = 1s;  // while it is down, and until `rise` or `fall` is reached
  Duration timeout = 2s;        // of the check as a whole
  uint32_t rise = 2;            // passes in succession until it is up; not 0
  uint32_t fall = 3;            // failures in succession until it is down; not 0
  bool operator==(const HealthCheck&) const = default;
};

// What requests tell about a backend's health: connections that fail or break before the end of the answer,
// and answers that do not come in time.
struct PassiveHealth {
  // So many clients' requests within the window, and none answered, until it is down though it answers when
  // it is asked; 0: it never is.
  uint32_t failures = 5;
  Duration window = 10s;
  std::vector<StatusRange> status;  // answers that count as failures
  // 0..100, of the pool's backends, down on this evidence alone or on nothing but questions that timed out.
  uint32_t max_down_percent = 50;
  bool operator==(const PassiveHealth&) const = default;
};

// How many requests may be tried again, at another backend or at the same.
struct Retries {
  uint32_t percent = 20;  // of the pool's requests of the last ten seconds
  uint32_t floor = 10;    // and as many a second besides
  bool operator==(const Retries&) const = default;
};

// How many requests each client may send; beyond it 429.
struct RequestRate {
  uint32_t requests = 0;  // a second; 0: any number
  uint32_t burst = 0;     // and so many at once; 0: as many as in a second
  RateBy by = RateBy::client;
  uint32_t at_once() const { return burst != 0 ? burst : requests; }
  bool operator==(const RequestRate&) const = default;
};

struct Backend {
  std::string name;
  Address address;
  uint32_t weight = 100;         // 0..65535, relative; 0: no new sessions, its own only
  uint32_t max_sessions = 0;     // 0: no limit
  uint32_t max_connections = 0;  // requests under way there at once; 0: no limit
  std::string backup;  // with copies of its sessions; empty: any other may have one, and any fetches it
  HealthCheck health;  // the pool's, but for what is said here
  bool operator==(const Backend&) const = default;
};

// TLS towards a pool's backends.
struct PoolTls {
  // What their certificates have to cover, and what they are told (SNI). Empty: each backend's own host.
  std::string name;
  std::string ca;           // a PEM file with the authorities that are trusted; empty: the system's
  bool insecure = false;    // whoever answers is taken for the backend
  std::string certificate;  // ours, a PEM file with its chain; empty: none is shown
  std::string key;          // of it; empty: it is in the same file
  bool operator==(const PoolTls&) const = default;
};

struct Pool {
  static constexpr size_t kMostBackends = 65'534;

  std::string name;
  // The first kind is tracked; the others route where it has no key. No kind twice, and none after ip, which
  // every request has.
  std::vector<AffinityKind> affinity = {AffinityKind::cookie};
  IpAffinity ip;
  CookieAffinity cookie;
  SessionIdAffinity session_id;
  std::vector<SessionIdSource> evidence;  // cookie, ip: where the application's own id shows; empty: unknown
  Storage storage = Storage::local;
  Placement placement = Placement::least_sessions;
  Failover failover = Failover::move;
  Failback failback = Failback::stay;
  std::vector<std::string> stateless_paths;  // prefixes as a route's; these requests need no home
  Duration patience = 0s;             // how long a request waits for its own home before it is failed over
  Duration queue_timeout = 10s;       // how long one waits for a place at a backend with max_connections
  Shed shed = Shed::off;              // what is refused beyond either of the next two
  uint32_t shed_in_flight = 0;        // requests of the pool under way; 0: however many
  Duration shed_queue_time = 0s;      // for so long somebody waits for a place; 0: however long
  Duration idle_timeout = 30min;      // a session not seen for this long has expired
  Duration unreturned_timeout = 60s;  // the same until its client has come back once
  Duration dormant_timeout = 24h;     // that its place is remembered after that, while there is room
  Duration renewal_grace = 30s;       // how long the id that a session had leads to it once it has a new one
  uint64_t max_sessions = 1'000'000;  // in the session table
  Duration slow_start = 0s;           // until a backend that came up has its whole share of new sessions
  Duration drain_timeout = 1h;        // until a drain's sessions, and a down one's exchanges, are cut
  PoolTimeouts timeouts;
  HealthCheck health;
  PassiveHealth passive;
  Retries retries;
  RequestRate rate;
  std::optional<PoolTls> tls;  // none: plain
  Protocol protocol = Protocol::http1;
  uint8_t send_proxy =
      0;  // the version of the PROXY protocol that connections to backends begin with; 0: none
  std::vector<Backend> backends;  // at least one, and at least one whose weight is not 0

  bool uses(AffinityKind kind) const;  // is in `affinity`
  std::string cookie_name() const;     // the one that is sent; never empty
  bool operator==(const Pool&) const = default;
};

// What a client may send.
struct Limits {
  uint64_t head = 32 * KiB;    // request line and header section; beyond it 431
  uint64_t target = 8 * KiB;   // request target; beyond it 414
  uint32_t headers = 100;      // field lines; beyond it 431
  uint64_t body = 1 * GiB;     // beyond it 413; 0: no limit
  uint32_t streams = 100;      // requests at once on one connection of HTTP/2
  uint32_t handshakes = 1000;  // of TLS under way at one worker; beyond it the oldest is given up
  bool operator==(const Limits&) const = default;
};

struct ClientTimeouts {
  Duration idle = 60s;       // between requests; then the connection is closed
  Duration head = 15s;       // from a request's first byte to the end of its head; then 408
  Duration handshake = 10s;  // from when TLS may begin until it is spoken; then the connection is closed
  Duration body = 60s;       // between two pieces of a body that the client sends (408) or takes
  // Bytes a second, on average, that a body with Content-Length has to come at beyond `body`; then 408.
  // Time in which the backend takes no more does not count. 0: no least rate.
  uint64_t body_rate = 100;
  bool operator==(const ClientTimeouts&) const = default;
};

enum class LogLevel : uint8_t { debug, info, warning, error };
enum class AccessFormat : uint8_t { json, combined };

struct Log {
  LogLevel level = LogLevel::info;
  std::string access = "stdout";  // "stdout", "off" or a file's path
  AccessFormat access_format = AccessFormat::json;
  bool operator==(const Log&) const = default;
};

// Either keys and hash_secret are given and key_file is empty, or key_file holds both and they are empty.
struct Secrets {
  static constexpr size_t kMostKeys = 8;  // each one is tried on a token that none made

  std::vector<std::string> keys;  // 32 raw bytes each, at most kMostKeys; the first signs, all verify
  std::string hash_secret;        // 32 raw bytes; keys the affinity hash
  // Read, or made at the first start. Default: the configuration file's name with ".keys" as its extension.
  std::string key_file;
  bool operator==(const Secrets&) const = default;
};

// Where the dashboard, the metrics and the commands are served.
struct Status {
  static constexpr size_t kLeastToken = 16;  // characters

  // As a listener's; none: nowhere.
  std::optional<Address> address = Address{Address::Kind::ip, "127.0.0.1", 9180};
  // For what changes anything; at most one of the two. Without it whoever can connect may; beyond loopback it
  // has to be there.
  std::string token;       // printable ASCII without spaces
  std::string token_file;  // its first line
  ListenerTls tls;         // certificates and a profile, and nothing else of it
  bool operator==(const Status&) const = default;
};

struct Settings {
  uint32_t workers = 0;  // 0: one for each core
  std::string user;      // that root's process becomes; empty: it stays what it is
  Duration shutdown_timeout = 30s;
  std::string via = "limpet";  // the pseudonym in Via (RFC 9110, section 7.6.3); empty: none is written
  Log log;
  Secrets secrets;
  Limits limits;
  ClientTimeouts timeouts;
  Status status;
  std::vector<Listener> listeners;
  std::vector<Route> routes;
  std::vector<Pool> pools;
  bool operator==(const Settings&) const = default;
};

}  // namespace limpet::conf
