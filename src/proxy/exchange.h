// The life of a request, from its head to its line in the log:
//
//   identify -> choose -> connect -> send -> relay (or tunnel) -> account
//
// Every event records a fact and calls advance(), which takes steps until one has to wait. A step that fails
// either goes back to choose, while that is safe, or answers the client, once. An exchange belongs to its
// request: it knows its client by an interface only, and owns its connection to a backend from connect on. It
// is never freed inside its own callbacks, and its memory is used again for another request.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "health/patience.h"
#include "routing/router.h"
#include "src/http/body_reader.h"
#include "src/http/loop_mark.h"
#include "src/http/web_socket.h"
#include "src/net/loop.h"
#include "src/net/small_files.h"
#include "src/proxy/backend_side.h"
#include "src/proxy/client_side.h"
#include "src/proxy/context.h"
#include "src/proxy/failures.h"
#include "src/proxy/lag.h"
#include "src/proxy/upload_pace.h"

namespace limpet::proxy {

class Exchange final : public http::BodySink,
                       BackendEvents,
                       net::DeadlineOwner,
                       net::Polls::Waiter,
                       net::FileReader {
 public:
  explicit Exchange(Context& context);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // A whole head has come in. It stays as it is until the exchange is over.
  void begin(ClientSide& client, const http::RequestHead& request);
  // What came in cannot be a request, however much of `request` was read: answers it, and ends.
  void refuse(ClientSide& client, const http::RequestHead& request, const http::Fault& fault);

  // Nothing of it is still to come; what follows is not of this request.
  bool has_whole_request() const { return has_request() && phase_ != Phase::tunnel; }
  bool is_tunnel() const { return phase_ == Phase::tunnel; }
  // At no backend, and until it is nothing is read of its body.
  bool awaits_its_turn() const { return phase_ == Phase::await_permit || phase_ == Phase::await_home; }

  // The client's side, called by whoever serves it.
  bool takes_body() const;  // more of the request's body, or of the tunnel, can go on its way now
  void on_body(std::string_view piece) override;
  void on_body_end(const http::Fields& trailers) override;
  void on_malformed_body(const http::Fault& fault);
  void on_client_tunnel(std::string_view bytes);
  void on_client_batch_end();  // all that came in one read has been told
  void on_client_end();        // the client has sent its last byte
  void on_client_drained();
  void on_client_gone();
  void on_backend_withdrawn(const ServedPool& pool, routing::Slot slot);  // what is under way there is cut
  void on_stop();                                                         // the process ends now
  void on_permit_called();  // it need not wait any more for a place at its backend

 private:
  enum class Phase : uint8_t {
    none,
    identify,
    await_file,
    choose,
    await_home,
    take_permit,
    await_permit,
    connect,
    send,
    relay,
    tunnel,
    account,
    over
  };
  enum class Step : uint8_t { go, wait };
  // An answer that tells of things as they happen.
  enum class Lasting : uint8_t {
    no,
    stream,   // it ends when all is told, as that to a call; how long it is silent is its ends' own affair
    endless,  // it ends when its ends have had enough: a tunnel, or what an EventSource listens to
  };
  enum class RequestState : uint8_t {
    coming,
    cut,     // the client has sent its last byte, and that was not the request's
    whole,   // all of it came in
    closed,  // and the client has sent its last byte
  };
  enum class ResponseState : uint8_t {
    awaited,
    begun,  // the head of a final answer is on its way to the client
    ended,  // the backend has sent all of it; of a tunnel: its last byte
    whole,  // the client got a whole answer, the backend's or ours
    cut,
    told,  // it was cut, and its client is told why
  };
  // At a backend.
  enum class Attempt : uint8_t {
    none,
    resting,  // an idle connection can be had when another poll has been handled
    dialing,
    open,
    broken,  // the connection takes no more
  };
  // A request that waits so long for its answer makes Limpet ask what is the matter.
  static constexpr net::Millis kLong = 10'000;
  static constexpr int kRetryAfter = 5;  // seconds, for 503

  // Facts.
  void on_backend_connected() override;
  void on_response_head(const http::ResponseHead& head) override;
  void on_response_body(std::string_view piece) override;
  void on_response_end(const http::Fields& trailers) override;
  void on_backend_batch_end() override;
  void on_backend_tunnel(std::string_view bytes) override;
  void on_backend_tunnel_end() override;
  void on_backend_drained() override;
  void on_backend_fault(BackendFault fault, int error) override;
  void on_deadline() override;
  void on_polled() override;
  void on_file(std::optional<std::string> content) override;

  // Steps, in the order of a request's life.
  void advance();
  Step step();
  Step identify();
  bool look_for_challenge();
  void answer(std::string_view content);
  bool has_to_be_redirected() const;
  std::string https_location() const;
  http::OwnReply own_reply(int status) const;
  Step choose();
  Step take_permit();
  void stop_waiting();
  Step connect();
  void take_idle();
  std::string preface() const;
  Step send();
  Step relay();
  Step account();

  void fail(const Failure& failure, int retry_after = kRetryAfter);
  void cut(const Failure& failure);
  bool can_be_told(const Failure& failure) const;
  void blame(BackendFailure how, bool refused = false);
  void doubt_backend();
  void tell_of_waiting();
  void connect_failed(int error);
  void unreachable();
  void backend_lost();
  void choose_again(const Failure& otherwise);
  void give_up_choice();
  bool wait_for_home();
  bool is_at_home() const;
  bool is_stale() const;
  bool can_send_again();
  void send_again();

  void start(ClientSide& client, const http::RequestHead& request);
  bool has_request() const { return request_state_ >= RequestState::whole; }
  bool has_begun_response() const { return response_state_ != ResponseState::awaited; }
  bool is_consistent() const;
  void leave_era();
  void choose_request_id();
  void choose_trace();
  http::LoopMark loop_mark() const;
  void begin_response(const http::ResponseHead& head);
  Lasting lasting_of(const http::ResponseHead& head) const;
  void judge_answer();
  bool is_failure(int status) const;
  static bool is_doubtful(int status) { return status >= 502 && status <= 504; }
  void count_answered(uint64_t at_us);  // a request, at that time
  uint64_t client_hash() const;
  bool lasts() const;
  net::Millis touch_interval() const;
  void touch_session();
  void set_deadline();
  void flush_backend();
  void flush_client();
  void await_progress();
  bool is_awaiting_head() const;
  conf::Duration head_wait() const;
  conf::Duration tunnel_wait() const;
  bool upload_has_a_rate() const;
  net::Millis upload_left() const;
  void drop_backend();
  routing::Slot backend_of_end() const;  // of the request's end: where it is counted, and what the log names
  void measure();
  void log();
  net::Millis now_ms() const;
  uint64_t now_us() const { return context_.clock.monotonic_us(); }
  static routing::Now seconds(uint64_t unix_us, uint64_t monotonic_us) {
    return {static_cast<uint32_t>(unix_us / 1'000'000), static_cast<uint32_t>(monotonic_us / 1'000'000)};
  }
  routing::Now started() const { return seconds(started_unix_us_, started_us_); }
  routing::RequestView view() const;

  Context& context_;
  ClientSide* client_ = nullptr;
  BackendPtr backend_;              // ours from connect to account
  ServedPool* pool_ = nullptr;      // from identify to account
  ServedPool::Era* era_ = nullptr;  // of pool_, until an answer begins
  net::Deadline deadline_;

  const http::RequestHead* request_ = nullptr;  // its client's, from begin to account
  std::string own_request_id_;
  std::string_view request_id_;
  std::string own_traceparent_;  // empty: what the request says of its trace passes
  std::string_view trace_id_;    // empty: it is in none
  conf::IpAddress client_address_;
  routing::Identity identity_;
  routing::Choice choice_;
  routing::Tried tried_;
  routing::Permit permit_;                   // at the backend of choice_, where that has a limit
  routing::WaitingPtr waiting_;              // for it
  routing::Slot blamed_ = routing::kNoSlot;  // the last that this request told something of
  health::Patience patience_;
  UploadPace pace_;
  Lag lag_;
  std::unique_ptr<http::WebSocket> web_socket_;  // in the tunnel, where that is what it was switched to
  std::string sent_body_;  // what of the body is on its way, while it may have to be sent again

  uint64_t started_unix_us_ = 0;
  uint64_t started_us_ = 0;
  uint64_t connect_us_ = 0;    // monotonic; 0: did not happen. A used connection takes no time:
  uint64_t connected_us_ = 0;  // then both are the request's start
  uint64_t head_us_ = 0;
  uint64_t bytes_in_ = 0;
  uint64_t bytes_out_ = 0;
  size_t interim_bytes_ = 0;  // of answers before the final one
  Failure end_ = failures::kNone;
  const Failure* last_failure_ = nullptr;           // of an attempt at a backend
  RetryBudget::Of lost_ = RetryBudget::Of::unseen;  // as what: the backend of that may have seen it or not
  int status_ = 0;
  uint32_t attempts_ = 0;                   // at backends
  routing::Slot asked_ = routing::kNoSlot;  // the backend of the last of them
  uint64_t queue_us_ = 0;                   // when it began to wait for a place; 0: it does not
  uint64_t queued_us_ = 0;                  // how long it has waited
  // For how long it may wait, all in all, as the file said when it began to; none: it has not.
  std::optional<net::Millis> queue_timeout_;
  net::Millis touch_at_ = 0;  // when the session of what lasts is to be kept alive next
  net::Millis due_ = 0;       // when the time for progress is over
  net::Millis head_due_ = 0;  // when the backend's time to begin its answer is over
  Phase phase_ = Phase::none;
  bool advancing_ = false;
  uint8_t polls_awaited_ = 0;  // for an idle connection, since choose
  RequestState request_state_ = RequestState::coming;
  ResponseState response_state_ = ResponseState::awaited;
  Attempt attempt_ = Attempt::none;
  bool fresh_only_ = false;    // a used connection has failed this request already
  bool fresh_again_ = false;   // a new one has, after the request was sent
  bool keeps_body_ = false;    // sent_body_ holds all of the body so far
  bool no_challenge_ = false;  // there is no file with an answer to it
  bool came_early_ = false;    // before the TLS handshake was over
  bool is_call_ = false;       // of gRPC
  Lasting lasting_ = Lasting::no;
};

}  // namespace limpet::proxy
