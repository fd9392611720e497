// What one exchange has of an HTTP/2 connection to a backend: a call, on a stream of its own.
//
// The exchange owns it until it is released or abandoned; from then on the connection does, until the stream
// has ended.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "src/http/h2_session.h"
#include "src/net/loop.h"
#include "src/proxy/backend_side.h"

namespace limpet::proxy {

class BackendConnections;
class H2Backend;

class H2Call final : public net::Mortal, public BackendSide, public http::H2Session::Stream {
 public:
  // `reused`: the connection was there before.
  H2Call(H2Backend& connection, BackendEvents* events, bool reused);

  void send_head(const http::RequestHead& request, const http::RequestEdits& edits) override;
  void send_body(std::string_view piece) override;
  void send_end(const http::Fields& trailers, http::FieldSet drop) override;
  void send_tunnel(std::string_view bytes) override { send_body(bytes); }
  bool has_gathered() const override { return has_gathered_; }
  bool flush() override;
  size_t queued() const override;
  bool has_sent() const override { return has_sent_ && !disowned_; }
  bool may_be_disowned() const override { return !answered_; }
  bool is_disowned() const override { return disowned_; }
  void become_tunnel() override { is_tunnel = true; }
  void finish_tunnel() override;
  void pause() override { paused_ = true; }
  void resume() override;
  bool is_reused() const override { return reused_; }
  bool has_answered() const override { return answered_ || is_malformed(); }
  void give_to_client() override {}  // no user is one of a connection that all share
  void release(net::Millis keep_alive, OwnConnections& client) override;
  void abandon() override;

 private:
  friend class H2Backend;

  void on_head(bool has_content) override;
  void on_content(std::string_view piece) override;
  void on_content_end() override;
  void on_closed(http::H2Error error, bool malformed) override;

  void submit();
  void settle();
  bool is_listened_to();
  void end_batch();
  bool tell_drained();
  void fault(BackendFault what, int error);
  void leave();

  BackendConnections& home_;
  H2Backend* connection_;   // nullptr: that has ended
  BackendEvents* events_;   // nullptr: the exchange has given it up
  H2Call* next_ = nullptr;  // neighbours in the connection's list
  H2Call* prev_ = nullptr;
  http::ResponseHead response_;
  size_t unconsumed_ = 0;  // bytes, while paused
  const bool reused_;
  std::string held_;      // an upgrade's head, until the backend has said whether it serves those
  std::string accept_;    // what a WebSocket's client has to be told
  bool ends_ = false;     // the request has no content
  bool to_head_ = false;  // the request's method is HEAD
  bool has_gathered_ = false;
  bool has_sent_ = false;
  std::optional<BackendFault> closed_;  // the stream is; how that is told where it was not expected
  bool flushing_ = false;               // what the stream tells meanwhile is told later
  bool disowned_ = false;               // the backend has not looked at it
  bool answered_ = false;
  bool ended_ = false;  // the whole answer has come
  bool paused_ = false;
  bool lags_ = false;  // something was on its way to the backend when that was looked at last
};

}  // namespace limpet::proxy
