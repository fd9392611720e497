// The stage behind TLS, and clients that speak it.
#pragma once

#include "tests/src/proxy/proxy_fixture.h"
#include "tests/support/tls_identity.h"
#include "tests/support/tls_peer.h"

namespace limpet::test {

struct SafeProxy : Proxy {
  explicit SafeProxy(bool behind_a_proxy = false, uint32_t most_handshakes = 1000)
      : Proxy(fronted(behind_a_proxy, most_handshakes)) {
    show(identity());
  }

  static conf::Settings fronted(bool behind_a_proxy, uint32_t most_handshakes) {
    conf::Settings made = settings_of(1, {Kind::ip});
    made.limits.handshakes = most_handshakes;
    made.listeners[0].proxy_protocol = behind_a_proxy;
    return made;
  }
  static const net::SharedTlsIdentity& identity() {
    static const net::SharedTlsIdentity made = identity_of({issue({.names = "DNS:shop.example"})});
    return made;
  }
  void accept_early_data(bool accepts) {
    auto next = std::make_shared<net::TlsIdentity>(*identity());
    next->settings.early_data = accepts;
    show(std::move(next));
  }
  uint64_t handshakes(proxy::HandshakeEnd end) const {
    return plan().listeners[0]->handshakes[static_cast<size_t>(end)].load();
  }
  void show(net::SharedTlsIdentity shown) {
    auto next = std::make_shared<proxy::Plan>(plan());
    next->tls[0] = std::move(shown);
    follow(std::move(next));
  }
};

// A client that speaks TLS over a connection of the stage.
struct SafeClient {
  explicit SafeClient(FakeStream& connection, int version = TLS1_3_VERSION, SSL_SESSION* session = nullptr,
                      std::string_view early = {})
      : below(connection), tls(context(version), TlsPeer::Role::client) {
    if (session != nullptr) SSL_set_session(tls.tls(), session);
    if (!early.empty()) tls.send_early(early);
    tls.start();
  }
  static SharedContext context(int version) {
    SharedContext made = client_context();
    speak_only(made.get(), version);
    return made;
  }

  // Says what it has to say, in reads of so many bytes, and hears what there is to hear.
  void carry(size_t piece = kAll) {
    for (std::string wire; !(wire = tls.output()).empty();) {
      below.say(wire);
      while (below.can_read()) below.read(piece);
      hear();
    }
  }
  void hear() { tls.receive(std::exchange(below.received, {})); }
  void ask(std::string_view request) {
    tls.send(request);
    carry();
  }

  FakeStream& below;
  TlsPeer tls;
};

}  // namespace limpet::test
