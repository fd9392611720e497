// One HTTP/2 connection from a client: its requests, each with an exchange of its own, and what they share:
// the session, the stream below it, and how it ends.
//
// All that one event makes is sent together. What nghttp2 tells comes from within feed(), where nothing can
// be sent: that happens once all that came has been told.
#pragma once

#include <memory>
#include <string>

#include "src/http/h2_session.h"
#include "src/net/deadlines.h"
#include "src/net/polls.h"
#include "src/net/stream.h"
#include "src/proxy/client_connection.h"
#include "src/proxy/h2_request.h"

namespace limpet::proxy {

class H2Client final : public ClientConnection,
                       net::StreamOwner,
                       net::DeadlineOwner,
                       net::Polls::Waiter,
                       http::H2Session::Owner {
 public:
  // What a client that knows that HTTP/2 is spoken begins with (RFC 9113, section 3.4).
  static constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

  H2Client(Context& context, ServedListener& listener, http::Peer peer, ClientConnections& home,
           Admission admission);
  ~H2Client() override;

  // Serves the stream, of which these bytes have come already.
  void begin(net::StreamPtr stream, std::string_view came);

  void shut_down() override;
  void close_now() override;
  void withdraw(const ServedPool& pool, routing::Slot slot) override;
  int descriptor() const override { return stream_->descriptor(); }

 private:
  friend class H2Request;
  enum class State : uint8_t {
    open,
    noticed,    // the client has been told that this ends, and has not seen that yet
    leaving,    // no more requests are taken
    draining,   // all is said, and is on its way out
    lingering,  // all is sent; reads what still comes so that it is not lost to a reset
    closed,
  };
  // What the deadline is for while requests are taken.
  enum class Waits : uint8_t { no, idle, head };

  void on_bytes(std::string_view bytes) override;
  void on_end() override;
  void on_drained() override;
  void on_broken(int error) override;
  void on_deadline() override;
  void on_polled() override;

  http::H2Session::Stream* on_new_stream() override;
  void on_abuse(http::H2Abuse abuse) override;
  void on_ping_answered() override;

  void turn_to(H2Request* request);
  void start_later(H2Request& request);
  void start_requests();
  void send();
  void go_on();
  void go_on_soon();
  void set_deadline();
  void await(net::Millis at_most);
  void remove(H2Request& request);
  void end_requests();
  bool has_said_all() const { return state_ >= State::draining; }
  bool is_ending() const { return context_.shutting_down || !listener_.listed || !listener_.settings.http2; }
  void drain();
  void linger();
  void close(bool reset);

  net::StreamPtr stream_;
  http::H2Session session_;
  OwnConnections own_connections_;
  http::Peer peer_;
  H2Request* first_ = nullptr;     // the head of a list; owned
  H2Request* told_ = nullptr;      // its batch is still to be ended
  H2Request* to_start_ = nullptr;  // the oldest of those that may have to
  net::Deadline deadline_;
  size_t lingered_ = 0;  // bytes read since all was said
  Lag lag_;
  State state_ = State::open;
  Waits waits_ = Waits::no;
  bool sending_ = false;
  bool goes_on_soon_ = false;
  bool ending_ = false;         // requests end in a row
  bool takes_no_more_ = false;  // the stream does not; what it brings is still read
  bool client_ended_ = false;   // the client has sent its last byte
  bool has_lagging_ = false;    // one of the requests has something on its way
};

}  // namespace limpet::proxy
