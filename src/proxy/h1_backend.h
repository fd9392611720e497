// One HTTP/1 connection to a backend, for one exchange after another.
//
// Reading stays armed while it is idle, so that a backend that hangs up is noticed before the connection is
// used again. Its exchange owns it while that lasts, and BackendConnections while it is idle.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "routing/fleet.h"
#include "src/http/parser.h"
#include "src/net/deadlines.h"
#include "src/net/loop.h"
#include "src/net/stream.h"
#include "src/proxy/backend_dial.h"
#include "src/proxy/backend_side.h"

namespace limpet::proxy {

class BackendConnections;

class H1Backend final : public net::Mortal,
                        public BackendSide,
                        net::StreamOwner,
                        net::DeadlineOwner,
                        http::BodySink {
 public:
  H1Backend(BackendConnections& home, routing::Slot slot, net::Deadlines& deadlines);

  // Begins to connect: on_backend_connected() or on_backend_fault() follows. False: that cannot even be tried
  // now, for the reason in `error`.
  bool dial(const conf::Address& address, unsigned first, BackendEvents* events, net::Millis patience,
            std::string preface, int& error);

  routing::Slot slot() const { return slot_; }

  void send_head(const http::RequestHead& request, const http::RequestEdits& edits) override;
  void send_body(std::string_view piece) override;
  void send_end(const http::Fields& trailers, http::FieldSet drop) override;
  void send_tunnel(std::string_view bytes) override;
  bool has_gathered() const override;
  bool flush() override;
  size_t queued() const override { return stream_->queued(); }
  bool has_sent() const override { return stream_->has_sent_since_mark(); }
  bool may_be_disowned() const override { return false; }
  bool is_disowned() const override { return false; }
  void become_tunnel() override { state_ = State::tunnel; }
  void finish_tunnel() override { stream_->finish(); }
  void pause() override { stream_->pause(); }
  void resume() override { stream_->resume(); }
  bool is_reused() const override { return reused_; }
  bool has_answered() const override { return answered_; }
  void give_to_client() override { belongs_to_client_ = true; }
  void release(net::Millis keep_alive, OwnConnections& client) override;
  void abandon() override;

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
  bool reusable() const;     // the answer is complete and the backend keeps the connection
  bool has_strayed() const;  // the backend went on after its whole answer
  void refuse(const char* what);
  void fault(BackendFault what, int error);

  BackendConnections& home_;
  BackendEvents* events_ = nullptr;  // nullptr while idle and once closed
  BackendDial dial_;
  net::StreamPtr stream_;
  http::Parser parser_;
  http::ResponseHead head_;
  std::string partial_;  // a head that has not come whole
  size_t searched_ = 0;
  net::Deadline deadline_;  // while connecting, of one address; of an idle one
  net::Millis idle_since_ = 0;
  uint64_t kept_at_ = 0;        // how many polls had been handled then
  H1Backend* newer_ = nullptr;  // neighbours among the idle
  H1Backend* older_ = nullptr;
  OwnConnections* owner_ = nullptr;  // while it is idle and belongs to a client
  H1Backend* next_own_ = nullptr;
  const routing::Slot slot_;
  State state_ = State::connecting;
  uint32_t retired_ = 0;  // the slot's retirement count when this connection was dialled
  bool to_head_ = false;  // the request's method is HEAD
  bool chunked_ = false;  // the request's body is
  bool reused_ = false;
  bool answered_ = false;
  bool belongs_to_client_ = false;
  bool keeps_ = false;  // the backend said that it takes another request
};

}  // namespace limpet::proxy
