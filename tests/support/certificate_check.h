// What must hold of the files that certificates, keys and authorities are read from: whatever they hold, they
// give one that can be shown, or a sentence that tells nothing of a key; and what a certificate says of names
// cannot be read as anything else, wherever it is told.
#pragma once

#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "src/certificate_checks.h"
#include "src/net/tls_clients.h"
#include "src/net/tls_connector.h"
#include "src/proxy/certificate_fields.h"
#include "src/tls_files.h"
#include "tests/support/choices.h"
#include "tests/support/memory_file.h"
#include "tests/support/tls_identity.h"
#include "tests/support/tls_peer.h"

namespace limpet::test {

class CertificateCheck {
 public:
  struct Outcome {
    std::string wrong;
    // What came about, by which a test can tell that its files were worth something.
    bool is_loaded = false, is_shown = false, is_believed = false;
  };

  static Outcome check(std::span<const uint8_t> bytes) {
    CertificateCheck check(bytes);
    check.run();
    return check.outcome_;
  }

 private:
  using Der = std::vector<uint8_t>;

  static constexpr std::array<std::string_view, 16> kBits{
      "-----BEGIN CERTIFICATE-----\n",
      "-----END CERTIFICATE-----\n",
      "-----BEGIN PRIVATE KEY-----\n",
      "-----END PRIVATE KEY-----\n",
      "-----BEGIN X509 CRL-----\n",
      "-----BEGIN TRUSTED CERTIFICATE-----\n",
      "Proc-Type: 4,ENCRYPTED\n",
      "DEK-Info: AES-128-CBC,00000000000000000000000000000000\n",
      "\n",
      "\r\n",
      "MIIB",
      "AAAA",
      "==",
      "-----",
      "subject=CN = shop.example\n",
      "\xef\xbb\xbf"};
  static constexpr std::array kLabels{PEM_STRING_X509,     PEM_STRING_X509_TRUSTED, PEM_STRING_X509_OLD,
                                      PEM_STRING_PKCS8INF, PEM_STRING_ECPRIVATEKEY, PEM_STRING_RSA};

  static constexpr size_t kTold = 16;  // bytes of a key that no sentence has by chance

  // Good ones, of which others are made.
  struct Shared {
    Issued authority = issue({.common_name = "authority", .is_authority = true});
    Issued leaf = issue({.common_name = "shop.example",
                         .names = "DNS:Shop.example,DNS:*.shop.example,IP:192.0.2.1,email:a@b.example",
                         .issuer = &authority});
    Issued old = issue({.common_name = "old.example", .kind = KeyKind::rsa});
    std::array<std::string, 7> pems{leaf.pem(),
                                    old.pem(),
                                    authority.pem(),
                                    leaf.key_pem(),
                                    old.key_pem(),
                                    leaf.pem() + leaf.key_pem(),
                                    leaf.encrypted_key_pem()};
    std::array<Der, 5> ders{der_of(leaf.certificate.get()), der_of(old.certificate.get()),
                            der_of(authority.certificate.get()), der_of(leaf.key.get()),
                            der_of(old.key.get())};
    std::shared_ptr<net::TlsIdentity> asking = asking_for(authority);
    std::string error;
    std::unique_ptr<net::TlsServer> server = net::TlsServer::make(asking, error);
    MemoryFile file, key_file;
  };
  static Shared& shared() {
    static Shared made;
    return made;
  }
  static std::shared_ptr<net::TlsIdentity> asking_for(const Issued& authority) {
    conf::ListenerTls settings;
    settings.clients.mode = conf::TlsClients::Mode::optional;
    settings.clients.ca = "ca.pem";
    auto made = std::make_shared<net::TlsIdentity>(*identity_of({issue({})}, settings));
    made->client_authorities = believing({authority});
    return made;
  }

  template <class What, class Write>
  static Der der_by(What* what, Write write) {
    unsigned char* bytes = nullptr;
    const int size = write(what, &bytes);
    REQUIRE(size > 0);
    Der der(bytes, bytes + size);
    OPENSSL_free(bytes);
    return der;
  }
  static Der der_of(X509* certificate) { return der_by(certificate, i2d_X509); }
  static Der der_of(EVP_PKEY* key) { return der_by(key, i2d_PrivateKey); }

  explicit CertificateCheck(std::span<const uint8_t> bytes) : choices_(bytes) { shared(); }

  void run() {
    const bool is_apart = choices_.flip();
    question_ = choices_.below(4);
    if (choices_.flip()) {
      check_names();
    } else {
      const size_t parts = 1 + choices_.below(4);
      for (size_t i = 0; i < parts; ++i) text_ += part();
      if (choices_.flip()) key_text_ = shared().pems[3 + choices_.below(4)];
      if (!is_apart) text_ += std::exchange(key_text_, {});
      text_ += choices_.rest_with(kBits);
    }
    check_files(is_apart);
  }

  // ---- what files hold

  std::string part() {
    if (choices_.flip()) return choices_.of(shared().pems);
    Der der = choices_.of(shared().ders);
    for (size_t changes = choices_.below(4); changes > 0; --changes) change(der);
    const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
    PEM_write_bio(out.get(), choices_.of(kLabels), "", der.data(), static_cast<long>(der.size()));
    char* pem = nullptr;
    const long size = BIO_get_mem_data(out.get(), &pem);
    return {pem, static_cast<size_t>(size)};
  }
  void change(Der& der) {
    if (der.empty()) return;
    const size_t at = (choices_.below(256) * 256 + choices_.below(256)) % der.size();
    switch (choices_.below(4)) {
      case 0:
        der[at] = static_cast<uint8_t>(choices_.below(256));
        break;
      case 1:
        der.erase(der.begin() + static_cast<ptrdiff_t>(at));
        break;
      case 2:
        der.insert(der.begin() + static_cast<ptrdiff_t>(at), static_cast<uint8_t>(choices_.below(256)));
        break;
      default:
        der.resize(at);
        break;
    }
  }

  // A certificate by the authority, with the leaf's key, whose names are anything at all.
  Issued named() {
    Shared& good = shared();
    Issued made{std::shared_ptr<X509>(X509_dup(good.leaf.certificate.get()), X509_free), good.leaf.key};
    X509* const certificate = made.certificate.get();
    X509_NAME* const subject = X509_get_subject_name(certificate);
    static constexpr std::array kTypes{V_ASN1_UTF8STRING, V_ASN1_PRINTABLESTRING, V_ASN1_T61STRING,
                                       V_ASN1_BMPSTRING, V_ASN1_IA5STRING};
    for (size_t parts = choices_.below(3); parts > 0; --parts) {
      const int type = choices_.of(kTypes), what = choices_.flip() ? NID_commonName : NID_organizationName;
      const std::string value(choices_.text(choices_.below(40)));
      if (choices_.flip()) X509_NAME_ENTRY_free(X509_NAME_delete_entry(subject, 0));
      X509_NAME_add_entry_by_NID(subject, what, type, reinterpret_cast<const unsigned char*>(value.data()),
                                 static_cast<int>(value.size()), -1, choices_.flip() ? 0 : -1);
    }
    const int place = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
    if (choices_.flip()) X509_EXTENSION_free(X509_delete_ext(certificate, place));
    const std::unique_ptr<GENERAL_NAMES, net::FreeNames> names(GENERAL_NAMES_new());
    for (size_t count = choices_.below(4); count > 0; --count) sk_GENERAL_NAME_push(names.get(), name());
    X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0,
                      sk_GENERAL_NAME_num(names.get()) != 0 ? X509V3_ADD_REPLACE : X509V3_ADD_KEEP_EXISTING);
    X509_sign(certificate, good.authority.key.get(), EVP_sha256());
    ERR_clear_error();
    return made;
  }
  GENERAL_NAME* name() {
    static constexpr std::array kKinds{GEN_DNS, GEN_EMAIL, GEN_URI, GEN_IPADD};
    static constexpr std::array<std::string_view, 4> kNames{"a.example", "*.b.example", "A.EXAMPLE",
                                                            "x,DNS:y"};
    const int kind = choices_.of(kKinds);
    const std::string_view value = choices_.flip() ? choices_.text(choices_.below(24)) : choices_.of(kNames);
    ASN1_STRING* const text = kind == GEN_IPADD ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
    ASN1_STRING_set(text, value.data(), static_cast<int>(value.size()));
    GENERAL_NAME* const made = GENERAL_NAME_new();
    GENERAL_NAME_set0_value(made, kind, text);
    return made;
  }

  // ---- what must hold

  // Contexts of OpenSSL take long to make: each run asks one question of those that need more than one.
  void check_files(bool is_apart) {
    Shared& good = shared();
    good.file.hold(text_);
    good.key_file.hold(key_text_);
    const conf::TlsCertificate named{good.file.path(), is_apart ? good.key_file.path() : ""};
    const auto loaded = net::load_certificate(named.file, named.key);
    if (const auto* wrong = std::get_if<std::string>(&loaded)) {
      check_sentence(*wrong);
    } else {
      check_loaded(std::get<net::SharedCertificate>(loaded));
    }
    switch (question_) {
      case 0:
        if (!std::holds_alternative<std::string>(loaded))
          check_shown(std::get<net::SharedCertificate>(loaded));
        break;
      case 1:
        check_trust(named.file);
        break;
      case 2:
        check_renewal(named);
        break;
      default:
        check_warnings(named);
        break;
    }
  }

  void check_loaded(const net::SharedCertificate& certificate) {
    outcome_.is_loaded = true;
    if (X509_check_private_key(certificate->leaf.get(), certificate->key.get()) != 1)
      note("a key is taken that is another's");
    if (!net::are_same(*certificate, *certificate)) note("a certificate is not the same as itself");
    for (const std::string& name : certificate->names) {
      if (!is_plain(name) || name != lower_case(name)) note("a name is none");
      if (is_host(name) &&
          X509_check_host(certificate->leaf.get(), name.data(), name.size(), 0, nullptr) != 1)
        note("OpenSSL does not find the name " + name);
    }
    std::vector<std::unique_ptr<X509, net::FreeX509>> again;
    const std::string unread = net::read_certificates(certificate->file, again);
    if (!unread.empty() || again.size() != 1 + certificate->chain.size())
      note("a chain is read once and not twice");
  }

  void check_shown(const net::SharedCertificate& certificate) {
    auto identity = std::make_shared<net::TlsIdentity>();
    identity->certificates = {certificate};
    std::string error;
    const auto server = net::TlsServer::make(identity, error);
    if (server == nullptr) return check_sentence(error);
    outcome_.is_shown = true;
    static const SharedContext clients = client_context();
    TlsPeer client(clients, TlsPeer::Role::client), serving(server->accept(), TlsPeer::Role::server);
    converse(client, serving);
    ERR_clear_error();
    if (!client.is_open()) return;
    const std::unique_ptr<X509, net::FreeX509> shown(SSL_get1_peer_certificate(client.tls()));
    if (X509_cmp(shown.get(), certificate->leaf.get()) != 0) note("another certificate is shown");
  }

  void check_warnings(const conf::TlsCertificate& named) {
    conf::Settings settings;
    settings.listeners.resize(1);
    settings.listeners[0].tls.certificates = {named};
    for (const std::string& line : certificate_warnings(settings, 1'700'000'000))
      if (!is_plain(line)) note("a warning is more than a line of text");
  }

  static bool is_host(std::string_view name) {
    const auto is_letter_or_digit = [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c); };
    return !name.empty() && name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-.") == name.npos &&
           is_letter_or_digit(name.front()) && is_letter_or_digit(name.back()) &&
           std::any_of(name.begin(), name.end(), is_letter) && name.find("..") == name.npos;
  }

  void check_trust(const std::string& path) {
    auto loaded = net::load_authorities(path);
    if (const auto* wrong = std::get_if<std::string>(&loaded)) return check_sentence(*wrong);
    const auto& believed = std::get<net::SharedAuthorities>(loaded);
    if (believed->certificates.empty()) note("nobody is believed");
    if (!net::are_same(*believed, *believed)) note("authorities are not the same as themselves");
    auto trust = std::make_shared<net::TlsTrust>();
    trust->authorities = believed;
    std::string error;
    if (net::TlsConnector::make(std::move(trust), error) == nullptr)
      note("authorities are taken that cannot be used");
    const net::SslContextPtr context(SSL_CTX_new(TLS_server_method()));
    net::ask_for_certificates(context.get(), conf::TlsClients::Mode::required, *believed);
    ERR_clear_error();
  }

  // What the files hold next is shown, or the former stays.
  void check_renewal(const conf::TlsCertificate& named) {
    TlsFiles files;
    if (const std::string wrong = files.add(named); !wrong.empty()) return check_sentence(wrong);
    Shared& good = shared();
    const net::SharedCertificate before = files.certificate(named);
    good.file.hold("no certificate");
    files.renew();
    const auto& entry = files.certificates().begin()->second;
    if (entry.content != before || entry.wrong.empty()) note("what is no certificate is shown");
    check_sentence(entry.wrong);
    good.file.hold(good.leaf.pem() + good.leaf.key_pem());
    good.key_file.hold(good.leaf.key_pem());
    files.renew();
    if (!entry.wrong.empty() || X509_cmp(entry.content->leaf.get(), good.leaf.certificate.get()) != 0)
      note("a good certificate is not shown");
  }

  // As a server's it goes on like any other; as a client's it tells the backend nothing but what it says.
  void check_names() {
    const Issued made = named();
    text_ = made.pem() + made.key_pem();
    key_text_ = made.key_pem();
    static const SharedContext clients = client_context();
    net::SslPtr tls(SSL_new(clients.get()));
    SSL_use_certificate(tls.get(), made.certificate.get());
    SSL_use_PrivateKey(tls.get(), made.key.get());
    TlsPeer client(std::move(tls), TlsPeer::Role::client),
        serving(shared().server->accept(), TlsPeer::Role::server);
    converse(client, serving);
    ERR_clear_error();
    if (!serving.is_open()) return;
    const net::ClientCertificate shown = net::client_certificate(serving.tls());
    outcome_.is_believed = shown.verified == net::ClientCertificate::Verified::yes;
    if (!is_plain(shown.subject) || !is_plain(shown.san)) note("a field tells what a field cannot");
    if (shown.san.find_first_of(" \"\\;") != std::string::npos) note("a name is not encoded");
    if (outcome_.is_believed && shown.fingerprint.size() != 64) note("a fingerprint is none");
    const auto names = static_cast<size_t>(std::count(shown.san.begin(), shown.san.end(), ','));
    if (!shown.san.empty() && names + 1 != count_names(made.certificate.get()))
      note("a name is told as two, or as none");
    conf::TlsClients told;
    told.subject = "X-Subject";
    told.san = "X-San";
    const auto fields = proxy::certificate_fields(told, shown);
    const auto lines = static_cast<size_t>(std::count(fields->lines.begin(), fields->lines.end(), '\n'));
    if (lines != (shown.subject.empty() ? 0u : 1u) + (shown.san.empty() ? 0u : 1u))
      note("a field is told as two");
  }
  static size_t count_names(X509* certificate) {
    const std::unique_ptr<GENERAL_NAMES, net::FreeNames> names(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
    return names ? static_cast<size_t>(sk_GENERAL_NAME_num(names.get())) : 0;
  }

  void check_sentence(const std::string& sentence) {
    if (sentence.empty() || !is_plain(sentence)) note("what is wrong is not said in a line");
    if (sentence.find("/proc/self/fd/") == std::string::npos) note("what is wrong does not name the file");
    for (const std::string& key : {shared().pems[3], shared().pems[4]})
      for (size_t at = key.find('\n') + 1; at + kTold <= key.size(); at += kTold / 2)
        if (sentence.find(key.substr(at, kTold)) != std::string::npos) note("a sentence tells of a key");
  }

  static bool is_plain(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  }
  void note(std::string what) {
    if (outcome_.wrong.empty()) outcome_.wrong = std::move(what);
  }

  Choices choices_;
  size_t question_ = 0;
  std::string text_, key_text_;
  Outcome outcome_;
};

}  // namespace limpet::test
