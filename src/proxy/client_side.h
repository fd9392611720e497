// What an exchange sees of its client: one request's worth of it, whatever the protocol. An HTTP/1 connection
// serves one exchange at a time; an HTTP/2 stream would be another of these.
#pragma once

#include <cstddef>
#include <string_view>

#include "src/http/forwarded.h"
#include "src/http/head.h"
#include "src/http/own_reply.h"
#include "src/http/rewrite.h"
#include "src/proxy/own_connections.h"

namespace limpet::proxy {

struct ServedListener;

class ClientSide {
 public:
  virtual const http::Peer& peer() const = 0;
  virtual const ServedListener& listener() const = 0;
  virtual OwnConnections& own_connections() = 0;
  virtual int descriptor() const = 0;  // of its connection
  virtual bool is_early() const = 0;   // as net::Stream says it

  // Sending gathers; flush() sends what was gathered, once for each event. False: the client takes no more.
  virtual void send_interim(const http::ResponseHead& head) = 0;
  virtual void send_head(const http::ResponseHead& head, http::ResponseEdits edits) = 0;
  virtual void send_body(std::string_view piece) = 0;
  virtual void send_end(const http::Fields& trailers) = 0;
  virtual size_t send_own(http::OwnReply reply) = 0;  // the body's bytes
  virtual void send_tunnel(std::string_view bytes) = 0;
  virtual bool flush() = 0;
  virtual size_t queued() const = 0;

  virtual void pull() = 0;           // the exchange takes more of the request's body, or of the tunnel
  virtual void finish_tunnel() = 0;  // the backend has sent its last byte

  // The exchange is over and must not be called any more. `whole`: the response was sent to an end; otherwise
  // the client has to see that it was cut. `request_ended`: nothing of the request is still to come.
  virtual void exchange_over(bool whole, bool request_ended) = 0;

 protected:
  ~ClientSide() = default;
};

}  // namespace limpet::proxy
