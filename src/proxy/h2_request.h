// One request that came in over HTTP/2: its stream, its exchange, and what of its content waits for the one
// or the other. Its memory is used again for another.
#pragma once

#include <string>

#include "src/http/h2_session.h"
#include "src/net/deadlines.h"
#include "src/proxy/client_side.h"
#include "src/proxy/exchange.h"
#include "src/proxy/lag.h"

namespace limpet::proxy {

class H2Client;

class H2Request final : public net::Mortal, public http::H2Session::Stream, ClientSide, net::DeadlineOwner {
 public:
  explicit H2Request(Context& context);

  void begin(H2Client& client);

  Exchange& exchange() { return exchange_; }
  bool has_exchange() const { return state_ == State::exchange; }
  bool is_to_start() const { return state_ == State::whole; }
  void start();
  // All that came in one read has been told.
  void end_batch();
  // What is on its way to the client may have left meanwhile.
  void look_whether_drained();

 private:
  friend class H2Client;
  enum class State : uint8_t {
    head,
    whole,  // the head is; the exchange begins once the read is over, or with content
    exchange,
    draining,  // the exchange is over, and the rest of its answer is on its way
    closed,
  };

  void on_head(bool has_content) override;
  void on_content(std::string_view piece) override;
  void on_content_end() override;
  void on_closed(http::H2Error error, bool malformed) override;
  void on_deadline() override;

  const http::Peer& peer() const override;
  const ServedListener& listener() const override;
  OwnConnections& own_connections() override;
  int descriptor() const override;
  bool is_early() const override;
  void send_interim(const http::ResponseHead& head) override;
  void send_head(const http::ResponseHead& head, http::ResponseEdits edits) override;
  void send_body(std::string_view piece) override { outgoing.add(piece); }
  void send_end(const http::Fields& trailers) override;
  size_t send_own(http::OwnReply reply) override;
  void send_tunnel(std::string_view bytes) override { outgoing.add(bytes); }
  bool flush() override;
  size_t queued() const override;
  void pull() override;
  void finish_tunnel() override;
  void exchange_over(bool whole, bool request_ended) override;

  void take(std::string_view piece);
  void tell_content_end();
  void await_taking();
  void leave();

  Context& context_;
  H2Client* client_ = nullptr;
  H2Request* next_ = nullptr;  // neighbours in its client's list
  H2Request* prev_ = nullptr;
  http::RequestHead request_;
  std::string waiting_;  // content that came and could not be taken yet
  Lag lag_;
  net::Deadline deadline_;  // while draining
  State state_ = State::head;
  bool is_open_ = false;        // the stream is
  bool content_ended_ = false;  // all of it has come
  bool taking_ = false;
  bool flushing_ = false;     // what its stream tells meanwhile flush() says
  bool is_answered_ = false;  // to the end, and the stream has ended with that
  bool lags_ = false;         // something was on its way to the client when that was looked at last
  Exchange exchange_;
};

}  // namespace limpet::proxy
