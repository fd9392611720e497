// Certificates that clients show: who is served, and what is known of them then.
#include "src/net/tls_clients.h"

#include <unistd.h>

#include "tests/support/tls_identity.h"
#include "tests/support/tls_peer.h"

namespace limpet::net::tls_clients_test {

using namespace limpet::test;
using Mode = conf::TlsClients::Mode;
using Verified = ClientCertificate::Verified;

const Issued& authority() {
  static const Issued made = issue({.common_name = "Staff", .is_authority = true});
  return made;
}
const Issued& stranger() {
  static const Issued made = issue({.common_name = "Staff", .is_authority = true});
  return made;
}

struct Door {
  explicit Door(Mode mode, SharedAuthorities believed = believing({authority()})) {
    static const SharedTlsIdentity base = identity_of({issue({.names = "DNS:shop.example"})});
    auto identity = std::make_shared<TlsIdentity>(*base);
    identity->settings.clients.mode = mode;
    identity->client_authorities = std::move(believed);
    std::string error;
    server = TlsServer::make(identity, error);
    REQUIRE(error == "");
  }
  std::unique_ptr<TlsServer> server;
};

// A client that knocks, with its certificate if it has one.
struct Guest {
  explicit Guest(int version, const Issued* shown = nullptr) : context(client_context()) {
    speak_only(context.get(), version);
    if (shown == nullptr) return;
    REQUIRE(SSL_CTX_use_certificate(context.get(), shown->certificate.get()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey(context.get(), shown->key.get()) == 1);
  }
  // Whether it is let in.
  bool knock(Door& door) {
    TlsPeer client(context, TlsPeer::Role::client);
    TlsPeer other(door.server->accept(), TlsPeer::Role::server);
    if (session != nullptr) SSL_set_session(client.tls(), session.get());
    converse(client, other);
    session = std::shared_ptr<SSL_SESSION>(SSL_get1_session(client.tls()), SSL_SESSION_free);
    known = client_certificate(other.tls());
    is_resumed = other.is_resumed();
    refusal = client.failure;
    return other.is_open() && refusal.empty();
  }

  const SharedContext context;
  std::shared_ptr<SSL_SESSION> session;
  ClientCertificate known;
  bool is_resumed = false;
  std::string refusal;
};

constexpr int kVersions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

TEST_CASE("where a certificate is required, one that is believed is let in, and nobody else") {
  const Issued bob = issue({.common_name = "bob", .issuer = &authority()});
  const Issued namesake = issue({.common_name = "bob", .issuer = &stranger()});
  const Issued late = issue({.common_name = "bob", .issuer = &authority(), .begins = -7200, .ends = -3600});
  const Issued alone = issue({.common_name = "bob"});
  for (const int version : kVersions) {
    Door door(Mode::required);
    Guest guest(version, &bob);
    CHECK(guest.knock(door));
    CHECK(guest.known.verified == Verified::yes);
    CHECK(guest.known.subject == "CN=bob");
    for (const Issued* other : {&namesake, &late, &alone}) CHECK_FALSE(Guest(version, other).knock(door));
    CHECK_FALSE(Guest(version).knock(door));
  }
}

TEST_CASE(
    "where a certificate is optional everybody is let in, and nothing is told of one that is not believed") {
  const Issued bob = issue({.common_name = "bob", .names = "DNS:bob.example", .issuer = &authority()});
  const Issued namesake = issue({.common_name = "bob", .names = "DNS:bob.example", .issuer = &stranger()});
  for (const int version : kVersions) {
    Door door(Mode::optional);
    Guest with(version, &bob), without(version), liar(version, &namesake);
    for (Guest* guest : {&with, &without, &liar}) CHECK(guest->knock(door));
    CHECK(with.known.verified == Verified::yes);
    CHECK(with.known.san == "DNS:bob.example");
    CHECK(with.known.fingerprint.size() == 64);
    CHECK(without.known.verified == Verified::none);
    CHECK(liar.known.verified == Verified::no);
    CHECK(liar.known.subject + liar.known.san + liar.known.fingerprint == "");
  }
}

TEST_CASE("a session that is resumed keeps what was found of its client's certificate") {
  const Issued bob = issue({.common_name = "bob", .issuer = &authority()});
  const Issued namesake = issue({.common_name = "bob", .issuer = &stranger()});
  for (const int version : kVersions) {
    for (const Issued* shown : {&bob, &namesake, static_cast<const Issued*>(nullptr)}) {
      Door first(Mode::optional), second(Mode::optional);
      Guest guest(version, shown);
      CHECK(guest.knock(first));
      const ClientCertificate before = guest.known;
      CHECK(guest.knock(second));
      CHECK(guest.is_resumed);
      CHECK(guest.known.verified == before.verified);
      CHECK(guest.known.subject == before.subject);
      CHECK(guest.known.fingerprint == before.fingerprint);
    }
  }
}

TEST_CASE(
    "a session that began where others are believed, or nobody is asked, is not resumed where one is "
    "required") {
  for (const int version : kVersions) {
    const Issued namesake = issue({.common_name = "bob", .issuer = &stranger()});
    Door none(Mode::none, nullptr), optional(Mode::optional), other(Mode::required, believing({stranger()}));
    Door required(Mode::required);
    for (Door* began : {&none, &optional, &other}) {
      Guest guest(version, &namesake);
      CHECK(guest.knock(*began));
      CHECK_FALSE(guest.knock(required));
      CHECK_FALSE(guest.is_resumed);
    }
    Guest without(version);
    CHECK(without.knock(none));
    CHECK(without.knock(optional));
    CHECK_FALSE(without.is_resumed);
  }
}

TEST_CASE("a certificate that has expired since its session began is believed no more") {
  const Issued brief = issue({.common_name = "bob", .issuer = &authority(), .ends = 2});
  Door door(Mode::optional);
  Guest guest(TLS1_3_VERSION, &brief);
  REQUIRE(guest.knock(door));
  REQUIRE(guest.known.verified == Verified::yes);
  while (X509_cmp_current_time(X509_get0_notAfter(brief.certificate.get())) > 0) usleep(10'000);
  CHECK(guest.knock(door));
  CHECK(guest.is_resumed);
  CHECK(guest.known.verified == Verified::no);
}

TEST_CASE("several may issue certificates, and one that is itself in the file is believed") {
  const Issued of_one = issue({.common_name = "a", .issuer = &authority()});
  const Issued partners = issue({.common_name = "Partners", .is_authority = true});
  const Issued of_other = issue({.common_name = "b", .issuer = &partners});
  const Issued alone = issue({.common_name = "c", .issuer = &authority()});
  Door door(Mode::required, believing({authority(), partners}));
  CHECK(Guest(TLS1_3_VERSION, &of_one).knock(door));
  CHECK(Guest(TLS1_3_VERSION, &of_other).knock(door));
  Door pinned(Mode::required, believing({alone}));
  CHECK(Guest(TLS1_3_VERSION, &alone).knock(pinned));
  CHECK_FALSE(Guest(TLS1_3_VERSION, &of_one).knock(pinned));
}

TEST_CASE("what a certificate says may stand in a field, whatever it holds") {
  const Issued evil =
      issue({.common_name = "bob\r\nX-Admin: yes, O=\xc3\xa9",
             .names = "email:a@b.example,URI:spiffe://shop/a b\xc3\xa9,DNS:x;y%\",IP:192.0.2.1",
             .issuer = &authority()});
  Door door(Mode::required);
  Guest guest(TLS1_3_VERSION, &evil);
  REQUIRE(guest.knock(door));
  CHECK(guest.known.subject == "CN=bob\\0D\\0AX-Admin: yes\\, O=\\C3\\A9");
  CHECK(guest.known.san == "email:a@b.example,URI:spiffe://shop/a%20b%c3%a9,DNS:x%3by%25%22,IP:192.0.2.1");
}

}  // namespace limpet::net::tls_clients_test
