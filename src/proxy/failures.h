// Every way in which a request can go wrong: what the client is told, what the log says, and who is to blame.
#pragma once

#include <cstdint>

#include "src/http/head.h"

namespace limpet::proxy {

enum class Blame : uint8_t { nobody, client, backend, balancer };

struct Failure {
  int status;        // for the client, while there is still something to answer
  const char* what;  // for the client
  const char* end;   // for the log
  Blame blame;
};

namespace failures {

inline constexpr Failure kNone{200, "", "ok", Blame::nobody};

// Before a backend was asked.
inline constexpr Failure kNoHops{200, "Max-Forwards ends here", "ok", Blame::nobody};
inline constexpr Failure kNoHopsForTrace{405, "Max-Forwards ends here", "ok", Blame::nobody};
inline constexpr Failure kToHttps{308, "this is served with https", "ok", Blame::nobody};
inline constexpr Failure kNoRoute{404, "no pool serves this host and path", "no_route", Blame::client};
inline constexpr Failure kAmbiguousPath{400, "the path holds what servers read differently", "bad_request",
                                        Blame::client};
inline constexpr Failure kLoop{508, "the request has been here before", "loop",
                               Blame::balancer};  // RFC 5842, section 7.2
inline constexpr Failure kRefused{503, "the server that holds this session does not answer", "refused",
                                  Blame::backend};
inline constexpr Failure kFull{503, "every server has all the sessions it may have", "full", Blame::balancer};
inline constexpr Failure kNoBackend{503, "no server can be reached", "no_backend", Blame::backend};
inline constexpr Failure kShed{503, "the servers are busy; nobody new is served now", "shed",
                               Blame::balancer};
inline constexpr Failure kQueueTimeout{503, "the server is busy, and was for as long as requests wait",
                                       "queue_timeout", Blame::balancer};
inline constexpr Failure kNoDescriptors{503, "the balancer cannot open another connection", "no_descriptors",
                                        Blame::balancer};
inline constexpr Failure kNoPorts{503, "the balancer has no port left for another connection", "no_ports",
                                  Blame::balancer};

inline constexpr Failure kUnreachable{503, "the balancer cannot reach this server", "unreachable",
                                      Blame::balancer};  // by its own fault, not the server's

// The client's doing.
inline constexpr Failure kTooEarly{425, "the request may have been sent before; send it after the handshake",
                                   "too_early", Blame::client};  // RFC 8470, section 5.2
inline constexpr Failure kRateLimited{429, "too many requests; try again later", "rate_limited",
                                      Blame::client};  // RFC 6585, section 4
inline constexpr Failure kTooLarge{413, "the request's body is too large", "too_large", Blame::client};
inline constexpr Failure kBodyCut{400, "the request's body was cut short", "client_gone", Blame::client};
inline constexpr Failure kClientGone{499, "", "client_gone",
                                     Blame::client};  // 499, as nginx writes it, is for the log only
inline constexpr Failure kClientSlow{408, "the request's body did not come in time", "client_timeout",
                                     Blame::client};
constexpr Failure malformed(const http::Fault& fault) {
  return {fault.status, fault.what, fault.status == 408 ? "client_timeout" : "bad_request", Blame::client};
}

// The backend's.
inline constexpr Failure kBackendClosed{502, "the backend closed the connection before it answered",
                                        "backend_closed", Blame::backend};
inline constexpr Failure kBackendCut{502, "the backend cut its answer short", "backend_cut", Blame::backend};
inline constexpr Failure kBackendNonsense{502, "the backend's answer is not valid HTTP", "backend_nonsense",
                                          Blame::backend};
inline constexpr Failure kTooMuchInterim{502, "the backend went on with interim answers", "backend_nonsense",
                                         Blame::backend};
inline constexpr Failure kSwitchedUnasked{502, "the backend switched protocols unasked", "backend_nonsense",
                                          Blame::backend};
inline constexpr Failure kBackendSlow{504, "the backend did not answer in time", "backend_timeout",
                                      Blame::backend};
inline constexpr Failure kWithdrawn{503, "the server was taken out of service", "backend_withdrawn",
                                    Blame::backend};

// Ours.
inline constexpr Failure kTunnelIdle{504, "nothing passed for too long", "tunnel_timeout", Blame::nobody};
inline constexpr Failure kStreamIdle{504, "nothing passed for too long", "stream_timeout", Blame::nobody};
inline constexpr Failure kShutdown{503, "the balancer is shutting down", "shutdown", Blame::balancer};

}  // namespace failures
}  // namespace limpet::proxy
