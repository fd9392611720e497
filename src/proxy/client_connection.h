// One HTTP/1 connection from a client: finds requests in its bytes, one after another, and sends their
// answers in that order.
//
// Bytes that cannot be taken yet (a head that is not whole, a pipelined request, a body whose backend lags)
// are kept, up to kMostWaiting; then the connection is read no further until they have been. The next request
// is not begun before the answer to the last one has left.
#pragma once

#include <memory>
#include <string>

#include "src/net/deadlines.h"
#include "src/net/loop.h"
#include "src/net/stream.h"
#include "src/proxy/client_side.h"
#include "src/proxy/context.h"
#include "src/proxy/exchange.h"

namespace limpet::proxy {

class ClientConnection;

// Knows the connections of a worker.
class ClientConnections {
 public:
  virtual void on_client_closed(ClientConnection& connection) = 0;  // it frees itself; forget it

 protected:
  ~ClientConnections() = default;
};

class ClientConnection final : public net::Mortal, net::StreamOwner, net::DeadlineOwner, ClientSide {
 public:
  static constexpr size_t kMostWaiting = 64 * 1024;

  // `listener` and what is in `context` outlive it. It owns itself: it closes when it is done and says so to
  // `home`.
  ClientConnection(Context& context, ServedListener& listener, http::Peer peer, ClientConnections& home);
  ~ClientConnection() override;

  net::StreamOwner* as_owner() { return this; }
  void attach(net::StreamPtr stream);
  const ServedListener& listener() const override { return listener_; }
  void shut_down();  // ends as soon as no request is under way
  void close_now();
  int descriptor() const { return stream_->descriptor(); }
  // What it has under way at this backend is cut.
  void withdraw(const ServedPool& pool, routing::Slot slot) {
    if (exchange_) exchange_->on_backend_withdrawn(pool, slot);
  }

  ClientConnection* next_ = nullptr;  // neighbours in `home`'s list
  ClientConnection* prev_ = nullptr;

 private:
  enum class State : uint8_t {
    proxy_header,  // the PROXY protocol's header has to come first
    idle,          // between requests
    head,          // a part of a head has come
    exchange,
    draining,   // the last answer is on its way out
    lingering,  // all is sent; reads what still comes so that the answer is not lost to a reset
    closed,
  };

  // How the end of the answer under way is told.
  enum class Delimited : uint8_t { by_length, by_chunks, by_close };

  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_drained() override;
  void on_broken(int error) override;
  void on_deadline() override;

  const http::Peer& peer() const override { return peer_; }
  OwnConnections& own_connections() override { return own_connections_; }
  void send_interim(const http::ResponseHead& head) override;
  void send_head(const http::ResponseHead& head, http::ResponseEdits edits) override;
  void send_body(std::string_view piece) override;
  void send_end(const http::Fields& trailers) override;
  size_t send_error(http::ErrorReply reply) override;
  void send_tunnel(std::string_view bytes) override;
  bool flush() override;
  size_t queued() const override { return stream_->queued(); }
  void pull() override;
  void finish_tunnel() override;
  void exchange_over(bool whole, bool request_ended) override;

  size_t take(std::string_view bytes);
  size_t take_proxy_header(std::string_view bytes);
  size_t take_head(std::string_view bytes);
  void take_waiting();
  void keep(std::string_view rest);
  bool has_said_all() const { return state_ >= State::draining; }
  bool is_ending() const { return context_.shutting_down || !listener_.listed; }
  Exchange& new_exchange();
  void refuse(const http::Fault& fault);
  void go_on();
  void become_idle();
  void drain();
  void linger();
  void close(bool reset);

  Context& context_;
  ServedListener& listener_;
  ClientConnections& home_;
  net::StreamPtr stream_;
  std::unique_ptr<Exchange> exchange_;
  OwnConnections own_connections_;
  http::Peer peer_;
  std::string waiting_;  // bytes that came in and could not be taken yet
  size_t searched_ = 0;  // how far the head in them has been looked through
  size_t lingered_ = 0;  // bytes read since the last answer
  net::Deadline deadline_;
  State state_;
  bool taking_ = false;        // within take(): what an exchange asks for is about to happen anyway
  bool client_ended_ = false;  // the client has sent its last byte
  bool keep_alive_ = true;     // after the exchange under way
  Delimited delimited_ = Delimited::by_length;
};

}  // namespace limpet::proxy
