// Sessions that are taken up again: by whom, and for how long.
#include "src/net/tls_tickets.h"

#include "tests/support/tls_identity.h"
#include "tests/support/tls_peer.h"

namespace limpet::net::tls_tickets_test {

using namespace limpet::test;

int64_t now = 0;  // of the servers' clock
int64_t tell_now() { return now; }

const Issued& issued() {
  static const Issued made = issue({.names = "DNS:shop.example,DNS:*.shop.example"});
  return made;
}

std::unique_ptr<TlsServer> server_with(const std::string& secret) {
  std::string error;
  auto made = TlsServer::make(identity_of({issued()}, {}, secret), error, tell_now);
  REQUIRE(error == "");
  return made;
}

using Session = std::shared_ptr<SSL_SESSION>;

// A client, which keeps the session that it is given last.
struct Client {
  explicit Client(int version) : context(client_context()) { speak_only(context.get(), version); }
  // Whether its session is resumed there.
  bool visit(TlsServer& server, const char* name = "shop.example") {
    TlsPeer client(context, TlsPeer::Role::client);
    TlsPeer other(server.accept(), TlsPeer::Role::server);
    if (session != nullptr) SSL_set_session(client.tls(), session.get());
    SSL_set_tlsext_host_name(client.tls(), name);
    converse(client, other);
    REQUIRE(client.is_open());
    REQUIRE(other.is_open());
    CHECK(client.is_resumed() == other.is_resumed());
    session = Session(SSL_get1_session(client.tls()), SSL_SESSION_free);
    return client.is_resumed();
  }

  const SharedContext context;
  Session session;
};

constexpr int kVersions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
constexpr int64_t kSomeTime = 1000 * TlsTickets::kPeriod;

TEST_CASE("a client that comes back resumes its session") {
  for (const int version : kVersions) {
    CAPTURE(version);
    now = kSomeTime;
    const auto server = server_with("secret");
    Client client(version);
    CHECK_FALSE(client.visit(*server));
    CHECK(client.visit(*server));
    CHECK(client.visit(*server));
    CHECK(client.visit(*server, "api.shop.example"));
  }
}

TEST_CASE("a session is resumed by everybody with the same secret, and by nobody else") {
  for (const int version : kVersions) {
    CAPTURE(version);
    now = kSomeTime;
    const auto first = server_with("secret"), second = server_with("secret"), other = server_with("another");
    Client client(version);
    CHECK_FALSE(client.visit(*first));
    CHECK(client.visit(*second));
    CHECK_FALSE(client.visit(*other));
  }
}

TEST_CASE("a ticket is opened in its own period and the next, and not after that") {
  for (const int version : kVersions) {
    CAPTURE(version);
    const auto server = server_with("secret");
    now = kSomeTime + TlsTickets::kPeriod - 1;
    Client early(version), late(version), last(version);
    for (Client* client : {&early, &late, &last}) CHECK_FALSE(client->visit(*server));
    now = kSomeTime + TlsTickets::kPeriod;
    CHECK(early.visit(*server));
    now = kSomeTime + 2 * TlsTickets::kPeriod - 1;
    CHECK(late.visit(*server));
    now = kSomeTime + 2 * TlsTickets::kPeriod;
    CHECK_FALSE(last.visit(*server));
  }
}

TEST_CASE("a session that is resumed by the last period's key gets a ticket of the new one") {
  for (const int version : kVersions) {
    CAPTURE(version);
    const auto server = server_with("secret");
    now = kSomeTime;
    Client client(version);
    client.visit(*server);
    for (int period = 1; period < 5; ++period) {
      now = kSomeTime + period * TlsTickets::kPeriod;
      CHECK(client.visit(*server));
    }
  }
}

TEST_CASE("a clock that goes back opens its own time's tickets") {
  const auto server = server_with("secret");
  Client client(TLS1_3_VERSION);
  now = kSomeTime;
  client.visit(*server);
  now = kSomeTime + 5 * TlsTickets::kPeriod;
  CHECK_FALSE(Client(TLS1_3_VERSION).visit(*server));
  now = kSomeTime;
  CHECK(client.visit(*server));
}

TEST_CASE("a ticket that was tampered with is no session, and does not break the handshake") {
  now = kSomeTime;
  const auto server = server_with("secret");
  Client client(TLS1_2_VERSION);
  client.visit(*server);
  const unsigned char* ticket = nullptr;
  size_t size = 0;
  SSL_SESSION_get0_ticket(client.session.get(), &ticket, &size);
  REQUIRE(size > 0);
  const_cast<unsigned char*>(ticket)[size - 1] ^= 1;
  CHECK_FALSE(client.visit(*server));
}

}  // namespace limpet::net::tls_tickets_test
