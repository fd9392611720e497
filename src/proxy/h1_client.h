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
#include "src/net/stream.h"
#include "src/proxy/client_connection.h"
#include "src/proxy/client_side.h"
#include "src/proxy/h1_request.h"
#include "src/proxy/lag.h"

namespace limpet::proxy {

class H1Client final : public ClientConnection, net::StreamOwner, net::DeadlineOwner, ClientSide {
 public:
  static constexpr size_t kMostWaiting = 64 * 1024;

  H1Client(Context& context, ServedListener& listener, http::Peer peer, ClientConnections& home,
           Admission admission);
  ~H1Client() override;

  // Serves the stream, of which these bytes have come already.
  void begin(net::StreamPtr stream, std::string_view came);

  void shut_down() override;
  void close_now() override;
  void withdraw(const ServedPool& pool, routing::Slot slot) override {
    if (request_) request_->exchange.on_backend_withdrawn(pool, slot);
  }
  int descriptor() const override { return stream_->descriptor(); }

 private:
  enum class State : uint8_t {
    idle,  // between requests
    head,  // a part of a head has come
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
  const ServedListener& listener() const override { return listener_; }
  OwnConnections& own_connections() override { return own_connections_; }
  bool is_early() const override { return stream_->is_early(); }
  void send_interim(const http::ResponseHead& head) override;
  void send_head(const http::ResponseHead& head, http::ResponseEdits edits) override;
  void send_body(std::string_view piece) override;
  void send_end(const http::Fields& trailers) override;
  size_t send_own(http::OwnReply reply) override;
  void send_tunnel(std::string_view bytes) override;
  bool flush() override;
  size_t queued() const override { return stream_->queued(); }
  void pull() override;
  void finish_tunnel() override;
  void exchange_over(bool whole, bool request_ended) override;

  size_t take(std::string_view bytes);
  size_t take_head(std::string_view bytes);
  size_t take_body(std::string_view bytes);
  void take_waiting();
  void keep(std::string_view rest);
  bool has_said_all() const { return state_ >= State::draining; }
  bool is_ending() const { return context_.shutting_down || !listener_.listed; }
  bool begins_http2(std::string_view bytes) const;
  void become_http2(std::string_view bytes);
  H1Request& new_request();
  Exchange& exchange() { return request_->exchange; }
  void refuse(const http::Fault& fault);
  void go_on();
  void become_idle();
  void drain();
  void await(net::Millis at_most);  // the client, or that it takes what waits for it
  void linger();
  void close(bool reset);

  net::StreamPtr stream_;
  std::unique_ptr<H1Request> request_;  // under way
  OwnConnections own_connections_;
  http::Peer peer_;
  std::string waiting_;  // bytes that came in and could not be taken yet
  size_t searched_ = 0;  // how far the head in them has been looked through
  size_t lingered_ = 0;  // bytes read since the last answer
  net::Deadline deadline_;
  Lag lag_;
  State state_ = State::idle;
  bool taking_ = false;        // within take(): what an exchange asks for is about to happen anyway
  bool is_new_ = true;         // no request has begun on it
  bool client_ended_ = false;  // the client has sent its last byte
  bool is_first_ = true;       // nothing of a request has come yet
  bool keep_alive_ = true;     // after the exchange under way
  Delimited delimited_ = Delimited::by_length;
};

}  // namespace limpet::proxy
