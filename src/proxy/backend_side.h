// What an exchange sees of its backend: one request's worth of it, whatever the protocol. An HTTP/1
// connection serves one exchange at a time; an HTTP/2 stream would be another of these.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "src/http/head.h"
#include "src/http/head_search.h"
#include "src/http/rewrite.h"
#include "src/net/deadlines.h"
#include "src/proxy/own_connections.h"

namespace limpet::proxy {

// What the head of a backend's answer may be. Wider than a client's: it is the operator's own server, and
// answers carry many cookies.
inline constexpr http::HeadLimits kResponseLimits{.head = 128 * 1024, .target = 128 * 1024, .fields = 500};

// What became of a connection, or of the answer on it.
enum class BackendFault : uint8_t {
  connect_failed,
  closed,    // an end or a reset before the answer was complete
  nonsense,  // not HTTP, or ambiguous
};

// The exchange's ear towards the backend. A call may give the backend up.
class BackendEvents {
 public:
  virtual void on_backend_connected() = 0;
  virtual void on_response_head(const http::ResponseHead& head) = 0;  // interim ones as well
  virtual void on_response_body(std::string_view piece) = 0;
  virtual void on_response_end(const http::Fields& trailers) = 0;
  virtual void on_backend_batch_end() = 0;  // all that came in one read has been told
  virtual void on_backend_tunnel(std::string_view bytes) = 0;
  virtual void on_backend_tunnel_end() = 0;
  virtual void on_backend_drained() = 0;
  virtual void on_backend_fault(BackendFault fault, int error) = 0;  // error: a negative errno, or 0

 protected:
  ~BackendEvents() = default;
};

class BackendSide {
 public:
  // Sending gathers; flush() sends what was gathered, once for each event. False: the backend takes no more.
  // What it has said already is still told.
  virtual void send_head(const http::RequestHead& request, const http::RequestEdits& edits) = 0;
  virtual void send_body(std::string_view piece) = 0;
  virtual void send_end(const http::Fields& trailers, http::FieldSet drop) = 0;
  virtual void send_tunnel(std::string_view bytes) = 0;
  virtual bool has_gathered() const = 0;
  virtual bool flush() = 0;
  virtual size_t queued() const = 0;
  // A part of this request, or that is not certain; unless the backend says that it has not looked at it.
  virtual bool has_sent() const = 0;
  virtual bool may_be_disowned() const = 0;  // it may still say so
  virtual bool is_disowned() const = 0;      // it has

  virtual void become_tunnel() = 0;  // the answer's head was a 101
  virtual void finish_tunnel() = 0;  // the client has sent its last byte

  virtual void pause() = 0;  // the client lags behind
  virtual void resume() = 0;

  virtual bool is_reused() const = 0;     // this is not its first request
  virtual bool has_answered() const = 0;  // something of this request's answer has come
  virtual void give_to_client() = 0;      // its connection serves this client alone from now on

  // The exchange is over; nothing more is told. The connection is kept for as long as this where it can carry
  // another request, among the client's own where it belongs to it.
  virtual void release(net::Millis keep_alive, OwnConnections& client) = 0;
  virtual void abandon() = 0;  // the same, and what is under way is cut; safe inside the events

 protected:
  ~BackendSide() = default;
};

struct AbandonBackend {
  void operator()(BackendSide* backend) const { backend->abandon(); }
};
using BackendPtr = std::unique_ptr<BackendSide, AbandonBackend>;

}  // namespace limpet::proxy
