// Which certificate a client is shown, and what is agreed on with it.
#include "src/net/tls_server.h"

#include "tests/support/tls_identity.h"
#include "tests/support/tls_peer.h"

namespace limpet::net::tls_server_test {

using namespace limpet::test;

struct Shop {
  Shop(std::initializer_list<Issued> shown, conf::ListenerTls settings = {})
      : Shop(identity_of(shown, std::move(settings))) {}
  explicit Shop(SharedTlsIdentity identity) : server(TlsServer::make(std::move(identity), error)) {
    REQUIRE(error == "");
  }
  std::string error;
  std::unique_ptr<TlsServer> server;
};

// A client that asked, and what came of it.
struct Visit {
  struct Wish {
    const char* name = nullptr;  // by SNI; nullptr: none
    int version = 0;             // this alone; 0: any
    const char* signatures = nullptr;
    std::string alpn = "";  // as on the wire
    const char* groups = nullptr;
    const char* ciphers = nullptr;  // of TLS 1.2
  };

  Visit(Shop& shop, const Wish& wish)
      : client(client_context(), TlsPeer::Role::client),
        server(shop.server->accept(), TlsPeer::Role::server) {
    SSL* const tls = client.tls();
    if (wish.name != nullptr) SSL_set_tlsext_host_name(tls, wish.name);
    if (wish.version != 0) SSL_set_min_proto_version(tls, wish.version);
    if (wish.version != 0) SSL_set_max_proto_version(tls, wish.version);
    if (wish.signatures != nullptr) REQUIRE(SSL_set1_sigalgs_list(tls, wish.signatures) == 1);
    if (wish.groups != nullptr) REQUIRE(SSL_set1_groups_list(tls, wish.groups) == 1);
    if (wish.ciphers != nullptr) REQUIRE(SSL_set_cipher_list(tls, wish.ciphers) == 1);
    if (!wish.alpn.empty())
      SSL_set_alpn_protos(tls, reinterpret_cast<const unsigned char*>(wish.alpn.data()),
                          static_cast<unsigned>(wish.alpn.size()));
    converse(client, server);
  }

  bool is_shown(const Issued& issued) const {
    const std::unique_ptr<X509, FreeX509> shown(SSL_get1_peer_certificate(client.tls()));
    return shown != nullptr && X509_cmp(shown.get(), issued.certificate.get()) == 0;
  }
  std::string protocol() const {
    const unsigned char* name = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(client.tls(), &name, &size);
    return {reinterpret_cast<const char*>(name), size};
  }

  TlsPeer client, server;
};

TEST_CASE("a client is shown the certificate for the name that it asks for") {
  const Issued first = issue({.names = "DNS:first.example"});
  const Issued exact = issue({.names = "DNS:www.shop.example,DNS:shop.example"});
  const Issued wild = issue({.names = "DNS:*.shop.example"});
  Shop shop({first, exact, wild});
  CHECK(Visit(shop, {.name = "first.example"}).is_shown(first));
  CHECK(Visit(shop, {.name = "shop.example"}).is_shown(exact));
  CHECK(Visit(shop, {.name = "WWW.Shop.Example"}).is_shown(exact));
  CHECK(Visit(shop, {.name = "api.shop.example"}).is_shown(wild));
  CHECK(Visit(shop, {.name = "v1.api.shop.example"}).is_shown(first));
  CHECK(Visit(shop, {.name = "other.example"}).is_shown(first));
  CHECK(Visit(shop, {}).is_shown(first));
}

TEST_CASE("of two certificates for one name the first is shown") {
  const Issued first = issue({.names = "DNS:shop.example"}), second = issue({.names = "DNS:shop.example"});
  Shop shop({first, second});
  CHECK(Visit(shop, {.name = "shop.example"}).is_shown(first));
}

TEST_CASE("the chain is sent behind the certificate") {
  const Issued root = issue({.common_name = "root", .is_authority = true});
  const Issued leaf = issue({.names = "DNS:shop.example", .issuer = &root});
  Folder folder;
  std::ofstream(folder.file("it.pem")) << leaf.pem() << root.pem() << leaf.key_pem();
  auto identity = std::make_shared<TlsIdentity>();
  identity->settings.certificates.resize(1);
  identity->certificates = {load(folder.file("it.pem"))};
  std::string error;
  const auto server = TlsServer::make(identity, error);
  REQUIRE(server != nullptr);
  TlsPeer client(client_context(), TlsPeer::Role::client);
  TlsPeer other(server->accept(), TlsPeer::Role::server);
  converse(client, other);
  CHECK(sk_X509_num(SSL_get_peer_cert_chain(client.tls())) == 2);
}

TEST_CASE("with strict_sni a name that no certificate covers is refused by an alert, and so is none") {
  const Issued issued = issue({.names = "DNS:shop.example"});
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Shop shop({issued}, {.certificates = {}, .strict_sni = true});
    CHECK(Visit(shop, {.name = "shop.example", .version = version}).is_shown(issued));
    for (const char* name : {"other.example", static_cast<const char*>(nullptr)}) {
      const Visit visit(shop, {.name = name, .version = version});
      CHECK_FALSE(visit.client.is_open());
      CHECK(visit.client.failure == "tlsv1 unrecognized name");
    }
  }
}

TEST_CASE("RSA and ECDSA stand side by side, and the client's signatures choose") {
  const Issued ecdsa = issue({.names = "DNS:shop.example"});
  const Issued rsa = issue({.names = "DNS:shop.example", .kind = KeyKind::rsa});
  for (const auto& shown : {std::initializer_list<Issued>{ecdsa, rsa}, {rsa, ecdsa}}) {
    Shop shop(shown);
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      for (const char* name : {"shop.example", static_cast<const char*>(nullptr)}) {
        CHECK(Visit(shop, {name, version, "ECDSA+SHA256"}).is_shown(ecdsa));
        CHECK(Visit(shop, {name, version, "RSA-PSS+SHA256:RSA+SHA256"}).is_shown(rsa));
        CHECK(Visit(shop, {name, version}).is_shown(ecdsa));
      }
    }
  }
}

TEST_CASE("one kind of key may cover names that the other does not") {
  const Issued ecdsa = issue({.names = "DNS:shop.example"});
  const Issued rsa = issue({.names = "DNS:shop.example,DNS:old.example", .kind = KeyKind::rsa});
  Shop shop({ecdsa, rsa});
  CHECK(Visit(shop, {.name = "shop.example"}).is_shown(ecdsa));
  CHECK(Visit(shop, {.name = "old.example"}).is_shown(rsa));
}

TEST_CASE("TLS 1.2 and 1.3 are spoken, and nothing older") {
  Shop shop({issue({})});
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const Visit visit(shop, {.version = version});
    CHECK(visit.client.is_open());
    CHECK(SSL_version(visit.client.tls()) == version);
  }
  CHECK(SSL_version(Visit(shop, {}).client.tls()) == TLS1_3_VERSION);
  CHECK_FALSE(Visit(shop, {.version = TLS1_1_VERSION, .ciphers = "DEFAULT@SECLEVEL=0"}).client.is_open());
}

TEST_CASE("the modern profile refuses TLS 1.2, and says so") {
  Shop shop({issue({})}, {.certificates = {}, .profile = conf::TlsProfile::modern});
  CHECK(Visit(shop, {.version = TLS1_3_VERSION}).client.is_open());
  const Visit visit(shop, {.version = TLS1_2_VERSION});
  CHECK_FALSE(visit.client.is_open());
  CHECK(visit.client.failure == "tlsv1 alert protocol version");
}

TEST_CASE("ciphers of TLS 1.2 are Mozilla's, which all have forward secrecy") {
  Shop shop({issue({.kind = KeyKind::rsa})});
  CHECK(Visit(shop, {.version = TLS1_2_VERSION, .ciphers = "ECDHE-RSA-AES128-GCM-SHA256"}).client.is_open());
  CHECK(Visit(shop, {.version = TLS1_2_VERSION, .ciphers = "DHE-RSA-AES256-GCM-SHA384"}).client.is_open());
  CHECK_FALSE(Visit(shop, {.version = TLS1_2_VERSION, .ciphers = "AES128-GCM-SHA256"}).client.is_open());
  CHECK_FALSE(Visit(shop, {.version = TLS1_2_VERSION, .ciphers = "ECDHE-RSA-AES128-SHA"}).client.is_open());
}

TEST_CASE("the groups are Mozilla's") {
  Shop shop({issue({})});
  for (const char* group : {"X25519", "P-256", "P-384"})
    CHECK(Visit(shop, {.groups = group}).client.is_open());
  CHECK_FALSE(Visit(shop, {.groups = "P-521"}).client.is_open());
}

TEST_CASE("of the protocols that a client offers http/1.1 is taken") {
  Shop shop({issue({})});
  CHECK(Visit(shop, {.alpn = "\x08http/1.1"}).protocol() == "http/1.1");
  CHECK(Visit(shop, {.alpn = "\x02h2\x08http/1.1\x08http/1.0"}).protocol() == "http/1.1");
  const Visit none(shop, {});
  CHECK(none.client.is_open());
  CHECK(none.protocol() == "");
}

TEST_CASE("where HTTP/2 is spoken it is taken by all who offer it") {
  auto identity = std::make_shared<TlsIdentity>(*identity_of({issue({})}));
  identity->http2 = true;
  Shop shop(identity);
  CHECK(Visit(shop, {.alpn = "\x08http/1.1\x02h2"}).protocol() == "h2");
  CHECK(Visit(shop, {.alpn = "\x02h2"}).protocol() == "h2");
  CHECK(Visit(shop, {.alpn = "\x08http/1.1"}).protocol() == "http/1.1");
  CHECK(Visit(shop, {}).protocol() == "");
}

TEST_CASE("a client that offers only what is not spoken here hears that there is no such protocol") {
  Shop shop({issue({})});
  for (const std::string alpn : {"\x02h2", "\x08http/1.0", "\x07http/1."}) {
    const Visit visit(shop, {.alpn = alpn});
    CHECK_FALSE(visit.client.is_open());
    CHECK(visit.client.failure == "tlsv1 alert no application protocol");
  }
}

TEST_CASE("a certificate that OpenSSL does not take is named") {
  Issued issued = issue({});
  const std::shared_ptr<EVP_PKEY> small(EVP_RSA_gen(1024), EVP_PKEY_free);
  X509_set_pubkey(issued.certificate.get(), small.get());
  X509_sign(issued.certificate.get(), small.get(), EVP_sha256());
  issued.key = small;
  std::string error;
  CHECK(TlsServer::make(identity_of({issued}), error) == nullptr);
  CHECK(error.substr(error.rfind('/') + 1) ==
        "it.pem is a certificate that OpenSSL does not take: ee key too small");
}

}  // namespace limpet::net::tls_server_test
