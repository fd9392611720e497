// Listening sockets. Each worker has its own for the same address (SO_REUSEPORT), so that the kernel spreads
// connections and no worker wakes for another's.
//
// An event takes a bounded number of connections, whatever befalls them; where they cannot be accepted the
// listener pauses. So nobody who connects can keep the loop from its other events.
#pragma once

#include <uv.h>

#include <string>

#include "conf/settings.h"
#include "src/net/deadlines.h"
#include "src/net/descriptors.h"
#include "src/net/uv_stream.h"

namespace limpet::net {

class Loop;

// A bound socket, or -1 and what is wrong. With `alone` binding fails where any other process listens
// already.
int bind_socket(const conf::Address& address, bool alone, std::string& error);

// What the connections inherit that a socket accepts.
bool set_options_of_accepted(int fd);

class Acceptor {
 public:
  // `peer` is all zero where there is no IP address.
  virtual void on_accepted(UvStream* stream, const conf::IpAddress& peer) = 0;
  // Descriptors run out, or somebody waits and cannot be accepted until kPause later at least. What is given
  // up now makes room.
  virtual void on_shortage() {}

 protected:
  ~Acceptor() = default;
};

// What a listener takes.
struct Intake {
  // Of those that wait, in one event. What is behind a new connection costs about 20 microseconds, so 64 of
  // them hold up the others for about a millisecond.
  unsigned at_once = 64;
  bool leaves_reserves = false;  // whose descriptor is not below Descriptors::for_clients() is refused
  bool is_shared = false;        // others accept from the same socket, now or later
};

// Owns the socket. Frees itself once it is closed.
class Listener final : DeadlineOwner {
 public:
  static constexpr Millis kPause = 100;  // after a failure: about as long as nobody notices

  // `fd` comes from bind_socket(); `descriptors` and `acceptor` outlive it. Accepts at once.
  static Listener* listen(Loop& loop, int fd, const conf::Listener& settings, Descriptors& descriptors,
                          Intake intake, Acceptor& acceptor, std::string& error);
  // Before close(), which would reset whoever waits or is connecting. Accepts those who wait, and from now
  // on the kernel brings others elsewhere: to a socket that listens at a wider address, or to a refusal.
  void turn_away();
  void close();

 private:
  Listener(Loop& loop, int fd, Descriptors& descriptors, Intake intake, Acceptor& acceptor);
  bool start();
  bool take_one();
  bool may_have(int connection);
  void refuse(int connection);
  void pause(int error);
  void on_deadline() override { start(); }

  Loop& loop_;
  Descriptors& descriptors_;
  const Intake intake_;
  Acceptor& acceptor_;
  const int fd_;
  uv_poll_t poll_;
  Deadline pause_;
};

}  // namespace limpet::net
