#include "src/proxy/entrance.h"

#include <spdlog/spdlog.h>

#include <string>
#include <utility>

#include "routing/affinity_key.h"
#include "src/net/tls_server.h"
#include "src/net/tls_stream.h"
#include "src/proxy/certificate_fields.h"
#include "src/proxy/h1_client.h"
#include "src/proxy/h2_client.h"
#include "src/proxy/proxy_protocol.h"

namespace limpet::proxy {

namespace {

// Whether a PROXY protocol header comes first.
bool tells_of_others(const conf::Listener& listener, const conf::IpAddress& peer) {
  const auto& from = listener.proxy_protocol_from;
  return listener.proxy_protocol && (from.empty() || conf::contain(from, peer));
}

// Whether its client may have this connection as well. A trusted proxy's are many clients'.
bool admits(Context& context, const ServedListener& listener, const http::Peer& peer, Admission& admission) {
  if (peer.trusted || !routing::has_address(peer.address)) return true;
  const auto broken = admission.take(peer.address, listener.settings.limits, context.clock.monotonic_us());
  if (broken) context.over_limit(listener, *broken, peer.text);
  return !broken;
}

// A connection of which it is not known yet who its client is, or what it speaks. Another takes its place
// once it is.
class Entrance final : public ClientConnection, Handshake, net::StreamOwner, net::DeadlineOwner {
 public:
  Entrance(Context& context, ServedListener& listener, http::Peer peer, ClientConnections& home,
           Admission admission, net::StreamPtr stream)
      : ClientConnection(context, listener, home, std::move(admission)),
        stream_(std::move(stream)),
        peer_(std::move(peer)),
        deadline_(context.deadlines, *this) {}

  void begin() {
    deadline_.set(context_.deadlines.now() + millis(context_.settings().timeouts.head));
    if (!tells_of_others(listener_.settings, peer_.address)) return go_on({});
    stream_->start(this);
  }

  void shut_down() override {
    const bool has_begun = tls_ == nullptr ? !came_.empty() : has_begun_tls();
    if (has_begun) return;
    if (!context_.shutting_down) return close();
    deadline_.set(context_.deadlines.now() + kToBegin);
  }
  void close_now() override { close(); }
  void withdraw(const ServedPool&, routing::Slot) override {}
  int descriptor() const override { return stream_->descriptor(); }

 private:
  // What comes now is told to whoever serves.
  void on_connected() override {
    const conf::TlsClients& clients = listener_.settings.tls.clients;
    if (clients) {
      const net::ClientCertificate shown = net::client_certificate(tls_->tls());
      const bool is_required = clients.mode == conf::TlsClients::Mode::required;
      if (is_required && shown.verified != net::ClientCertificate::Verified::yes)
        return fail("the certificate that the client had shown is not valid any more");
      peer_.certificate = certificate_fields(clients, shown);
    }
    count(SSL_session_reused(tls_->tls()) == 1 ? HandshakeEnd::resumed : HandshakeEnd::full);
    serve({});
  }
  void on_bytes(std::string_view bytes) override {
    came_.append(bytes);
    const ProxyHeader header = parse_proxy_header(came_);
    if (header.status == ProxyHeader::Status::partial) return;
    if (header.status == ProxyHeader::Status::wrong) {
      context_.refused_header(listener_.settings.name, peer_.text, "without a valid PROXY protocol header");
      return close();  // whoever this is speaks no protocol that has errors to answer with
    }
    if (header.source) {
      believe(*header.source);
      if (!admits(context_, listener_, peer_, admission_)) {
        stream_.release()->reset();
        return close();
      }
    }
    go_on(std::string_view(came_).substr(header.size));
  }
  void on_end() override { close(); }
  void on_drained() override {}
  void on_broken(int error) override {
    fail(error == net::kTlsFailed ? tls_->failure() : "the client closed the connection");
  }
  void on_deadline() override { fail("it took longer than timeouts.handshake"); }
  void give_up() override {
    context_.crowded_out(listener_.settings.name);
    tell_failed("there were too many others (limits.handshakes)");
    close();
  }

  bool has_begun_tls() const { return tls_->tls() != nullptr && SSL_in_before(tls_->tls()) == 0; }
  void count(HandshakeEnd end) {
    listener_.meter->handshakes[static_cast<size_t>(end)].fetch_add(1, std::memory_order_relaxed);
  }
  void fail(std::string_view why) {
    if (tls_ != nullptr && has_begun_tls()) tell_failed(why);
    close();
  }
  void tell_failed(std::string_view why) {
    count(HandshakeEnd::failed);
    spdlog::debug("listener {}: the TLS handshake with {} failed: {}", listener_.settings.name, peer_.text,
                  why);
  }

  void believe(const conf::IpAddress& source) {
    const bool is_named = !listener_.settings.proxy_protocol_from.empty();
    peer_.address = source;
    peer_.text = source.text();
    peer_.trusted = is_named && http::is_trusted(listener_.settings, source);
  }

  // The first bytes of what comes next have come already.
  void go_on(std::string_view rest) {
    if (listener_.tls == nullptr) return serve(rest);
    context_.handshakes.begin(*this, context_.settings().limits.handshakes);
    deadline_.set(context_.deadlines.now() + millis(context_.settings().timeouts.handshake));
    tls_ = new net::TlsStream(context_.tls_room, listener_.tls->accept());
    tls_->keep(listener_.tls);
    tls_->attach(std::move(stream_));
    stream_.reset(tls_);
    tls_->start(this);
    tls_->accept(rest);
  }

  void serve(std::string_view rest) {
    context_.handshakes.end(*this);
    deadline_.clear();
    peer_.tls = tls_ != nullptr;
    if (tls_ != nullptr && net::chose_http2(tls_->tls())) {
      (new H2Client(context_, listener_, std::move(peer_), home_, std::move(admission_)))
          ->begin(std::move(stream_), rest);
    } else {
      (new H1Client(context_, listener_, std::move(peer_), home_, std::move(admission_)))
          ->begin(std::move(stream_), rest);
    }
    leave();
  }

  void close() {
    context_.handshakes.end(*this);
    deadline_.clear();
    stream_.reset();
    leave();
  }

  net::StreamPtr stream_;
  net::TlsStream* tls_ = nullptr;  // stream_, once TLS is spoken
  http::Peer peer_;
  std::string came_;  // of the header, and what follows it
  net::Deadline deadline_;
};

}  // namespace

void enter(Context& context, ServedListener& listener, http::Peer peer, ClientConnections& home,
           net::StreamPtr stream) {
  Admission admission;
  const bool has_header = tells_of_others(listener.settings, peer.address);
  if (!admission.take(*listener.meter, listener.settings.limits)) {
    context.over_limit(listener, ConnectionLimit::connections, peer.text);
    return stream.release()->reset();
  }
  if (!has_header && !admits(context, listener, peer, admission)) return stream.release()->reset();
  if (has_header || listener.tls != nullptr) {
    (new Entrance(context, listener, std::move(peer), home, std::move(admission), std::move(stream)))
        ->begin();
  } else {
    (new H1Client(context, listener, std::move(peer), home, std::move(admission)))
        ->begin(std::move(stream), {});
  }
}

}  // namespace limpet::proxy
