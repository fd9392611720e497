// One HTTP/2 connection to a backend, which carries many exchanges' calls.
//
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
#include "src/proxy/h2_call.h"

namespace limpet::proxy {

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
