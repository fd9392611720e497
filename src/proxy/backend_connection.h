// One HTTP/1 connection to a backend, and the response side of whatever exchange uses it.
//
// Reading stays armed while it is idle, so that a backend that hangs up is noticed before the connection is
// used again. It is owned by its exchange while that lasts and by BackendConnections while it is idle.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "routing/fleet.h"
#include "src/http/parser.h"
#include "src/net/deadlines.h"
#include "src/net/dial.h"
#include "src/net/loop.h"
#include "src/net/stream.h"

namespace limpet::proxy {

class BackendConnections;
class OwnConnections;

// What became of a connection, or of the answer on it.
enum class BackendFault : uint8_t {
  connect_failed,
  closed,    // an end or a reset before the answer was complete
  nonsense,  // not HTTP, or ambiguous
};

// The exchange's ear towards the backend. A call may close the connection.
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

class BackendConnection final : public net::Mortal, net::StreamOwner, net::DeadlineOwner, http::BodySink {
 public:
  BackendConnection(BackendConnections& home, routing::Slot slot, net::Deadlines& deadlines);

  // Begins to connect: on_backend_connected() or on_backend_fault() follows. False: that cannot even be tried
  // now, for the reason in `error`.
  bool dial(const conf::Address& address, BackendEvents* events, net::Millis patience, int& error);

  // Begins to expect a response. `to_head`: the request's method is HEAD.
  void expect_response(BackendEvents* events, bool to_head);
  void become_tunnel() { state_ = State::tunnel; }

  bool write(std::span<const iovec> parts);  // as Stream::write
  size_t queued() const { return stream_->queued(); }
  size_t unsent() const { return stream_->unsent(); }
  void pause() { stream_->pause(); }
  void resume() { stream_->resume(); }
  void finish() { stream_->finish(); }

  routing::Slot slot() const { return slot_; }
  bool reused() const { return reused_; }               // this is not its first request
  bool has_answered() const { return answered_; }       // something of the current response has come
  void give_to_client() { belongs_to_client_ = true; }  // that it was used for; for good
  bool has_strayed() const;                             // the backend went on after its whole answer
  bool reusable() const;  // the response is complete and the backend keeps the connection

 private:
  friend class BackendConnections;
  friend class OwnConnections;
  enum class State : uint8_t { connecting, idle, head, body, ended, tunnel };

  void on_connected() override;
  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_drained() override;
  void on_broken(int error) override;
  void on_deadline() override;
  void on_body(std::string_view piece) override;
  void on_body_end(const http::Fields& trailers) override;

  size_t take(std::string_view bytes);
  size_t take_head(std::string_view bytes);
  bool dial_next(int& error);
  void refuse(const char* what);
  void fault(BackendFault what, int error);

  BackendConnections& home_;
  BackendEvents* events_ = nullptr;  // nullptr while idle and once closed
  conf::Address address_;
  net::Turns turns_;       // while connecting, as the next
  net::Millis share_ = 0;  // of the time to connect, for one of several addresses
  net::StreamPtr stream_;
  http::Parser parser_;
  http::ResponseHead head_;
  std::string partial_;  // a head that has not come whole
  size_t searched_ = 0;
  net::Deadline deadline_;  // while connecting, of one address; of an idle one
  net::Millis idle_since_ = 0;
  uint64_t kept_at_ = 0;                // how many polls had been handled then
  BackendConnection* newer_ = nullptr;  // neighbours among the idle
  BackendConnection* older_ = nullptr;
  OwnConnections* owner_ = nullptr;  // while it is idle and belongs to a client
  BackendConnection* next_own_ = nullptr;
  const routing::Slot slot_;
  State state_ = State::connecting;
  uint32_t retired_ = 0;  // the slot's retirement count when this connection was dialled
  bool to_head_ = false;
  bool reused_ = false;
  bool answered_ = false;
  bool belongs_to_client_ = false;
  bool keeps_ = false;  // the backend said that it takes another request
};

}  // namespace limpet::proxy
