// One HTTP/2 connection to a backend, and what one exchange has of it: a call, on a stream of its own.
//
// An exchange owns its call until that is released or abandoned; the connection, until its stream has ended.
// What the backend asked for, its limit of streams and its GOAWAY, is respected: a call that the backend says
// it has not looked at is told as a fault of which nothing was sent, so that it goes elsewhere.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "routing/fleet.h"
#include "src/http/h2_session.h"
#include "src/net/deadlines.h"
#include "src/net/loop.h"
#include "src/net/polls.h"
#include "src/net/stream.h"
#include "src/proxy/backend_dial.h"
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
  bool has_answered() const override { return answered_; }
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

class H2Backend final : public net::Mortal,
                        net::StreamOwner,
                        net::DeadlineOwner,
                        net::Polls::Waiter,
                        http::H2Session::Owner {
 public:
  H2Backend(BackendConnections& home, routing::Slot slot, net::Deadlines& deadlines);

  // Begins to connect; its calls are told. False: that cannot even be tried now, for the reason in `error`.
  bool dial(const conf::Address& address, unsigned first, net::Millis patience, int& error);

  // A call that can be sent now, or once it is connected; nullptr: it takes no more.
  H2Call* call(BackendEvents* events);
  bool is_connecting() const { return state_ == State::connecting; }
  bool is_idle() const;  // no exchange has a call here
  int descriptor() const { return stream_->descriptor(); }

  void retire();  // takes no more calls, and ends behind the last
  void close(bool reset);

 private:
  friend class H2Call;
  friend class H2Backends;
  enum class State : uint8_t { connecting, open, leaving, closed };

  void on_connected() override;
  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_drained() override { go_on(); }
  void on_broken(int error) override;
  void on_deadline() override;
  void on_ping_answered() override;
  void on_polled() override;
  void on_goaway(http::H2Error) override { retire(); }
  void on_settings() override;

  bool dial_next(int& error);
  size_t most_calls() const;
  void turn_to(H2Call* call);
  void send();
  void go_on();
  void go_on_soon();
  void remove(H2Call& call);
  void suspect();
  void fail_all(BackendFault what, int error);

  BackendConnections& home_;
  const routing::Slot slot_;
  BackendDial dial_;
  net::StreamPtr stream_;
  http::H2Session session_;
  H2Call* first_ = nullptr;  // of a list, in the order they came
  H2Call* last_ = nullptr;
  size_t calls_ = 0;
  H2Call* told_ = nullptr;     // its batch is still to be ended
  H2Backend* next_ = nullptr;  // neighbours at its slot
  H2Backend* prev_ = nullptr;
  net::Deadline deadline_;  // while connecting, of one address; without calls; of an answer to a ping
  net::Millis keep_alive_ = 0;
  State state_ = State::connecting;
  bool suspected_ = false;  // a call was not answered: it takes no more until a ping is
  bool sending_ = false;
  bool telling_ = false;
  bool goes_on_soon_ = false;
  bool has_lagging_ = false;    // one of the calls has something on its way
  bool takes_no_more_ = false;  // the stream does not; what it brings is still read
};

}  // namespace limpet::proxy
