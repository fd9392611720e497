// One connection to the status endpoint: takes requests one after another, hands each to its server whole,
// and writes the answer. HTTP/1.1 as the proxy's own clients have it, parsed by the same parser; bodies are
// read and not looked at, for nothing here takes one.
//
// Every state has a deadline but `waiting`, which the owner ends, and `streaming`. What is read is bounded by
// the limits of a head and of a body, and the next request is not read before the answer to the last one has
// left.
#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>

#include "src/http/parser.h"
#include "src/net/deadlines.h"
#include "src/net/loop.h"
#include "src/net/stream.h"
#include "src/status/ask.h"

namespace limpet::status {

class Connection;

// Knows all connections.
class ConnectionOwner {
 public:
  // connection.answer() has to follow, now or later, unless it is closed before. `ask` is valid during the
  // call only.
  virtual void on_asked(Connection& connection, const Ask& ask) = 0;
  virtual void on_closed(Connection& connection) = 0;  // to be buried, not freed: it stands in its own call

 protected:
  ~ConnectionOwner() = default;
};

class Connection final : public net::Mortal, net::StreamOwner, net::DeadlineOwner, http::BodySink {
 public:
  static constexpr http::HeadLimits kLimits{.head = 16 * 1024, .target = 8 * 1024, .fields = 100};
  static constexpr uint64_t kMostBody = 64 * 1024;
  static constexpr size_t kMostPipelined = 64 * 1024;  // bytes of requests to come, about
  static constexpr net::Millis kHandshake = 10'000;    // of TLS, from the connection's start
  static constexpr net::Millis kIdle = 60'000;         // between requests
  static constexpr net::Millis kReceiving = 10'000;    // from a request's first byte to its last
  static constexpr net::Millis kSending = 30'000;      // until an answer has left, or an event
  static constexpr net::Millis kLinger = 2'000;
  // Whoever connects, or has been answered, asks within so long, or most likely not soon: its bytes may be on
  // their way.
  static constexpr net::Millis kFresh = 1'000;

  // `owner` owns it, knows it by `id`, and buries it when it hears that it is closed.
  Connection(net::Deadlines& deadlines, ConnectionOwner& owner, uint64_t id, std::string peer);

  net::StreamOwner* as_owner() { return this; }
  void attach(net::StreamPtr stream);
  void attach_tls(net::StreamPtr stream);  // one whose handshake is still to come

  // Compares: of two connections the one to be closed for the sake of others is worth less.
  enum class Use : uint8_t { nothing, answered, asks, watches };
  struct Worth {
    Use use;
    uint64_t stirred;  // in which order they did, of one thread's: many do within a millisecond
    auto operator<=>(const Worth&) const = default;
  };
  Worth worth() const;
  uint64_t id() const { return id_; }
  void answer(const Answer& answer);  // what was asked last
  bool is_streaming() const { return state_ == State::streaming; }
  void send_event(const std::string& event);  // left out while the last one has not left
  void close();

 private:
  enum class State : uint8_t {
    handshake,  // TLS is not spoken yet
    idle,
    head,       // a part of a head has come
    body,       // a part of a body is still to come
    waiting,    // for the owner's answer
    answering,  // the answer is on its way out
    streaming,  // events go out, as long as the client takes them
    lingering,  // all is sent; reads what still comes so that the answer is not lost to a reset
    closed,
  };

  void on_connected() override;  // by TLS
  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_drained() override;
  void on_broken(int) override { close(); }
  void on_deadline() override;
  void on_body(std::string_view piece) override;
  void on_body_end(const http::Fields&) override {}

  void proceed();
  void proceed_while_possible();
  bool take_head();
  bool take_body();
  void answer_request();
  void refuse(const http::Fault& fault);  // and ends the connection
  void send(const Answer& answer);
  bool write(std::string_view bytes);
  void settle();
  void linger();
  void wait(State state, net::Millis at_most);

  ConnectionOwner& owner_;
  const uint64_t id_;
  const std::string peer_;
  net::StreamPtr stream_;
  net::Deadline deadline_;
  net::Deadlines& deadlines_;
  http::Parser parser_;
  http::RequestHead head_;
  std::string head_bytes_;  // what head_ looks into
  std::string in_;          // what has come and is not done with
  size_t searched_ = 0;     // how far the head in it has been looked through
  uint64_t body_size_ = 0;
  State state_ = State::idle;
  net::Millis since_ = 0;  // when that, or the request that it is a part of, began
  uint64_t stirred_ = 0;   // as Worth has it
  bool tls_ = false;
  bool ended_ = false;  // the client has sent its last byte
  bool keep_alive_ = false;
  bool proceeding_ = false;
};

}  // namespace limpet::status
