#include "src/net/tls_clients.h"

#include <openssl/err.h>

#include <array>
#include <memory>
#include <string_view>
#include <utility>

#include "conf/ascii.h"
#include "src/net/openssl.h"

namespace limpet::net {

namespace {

using Digest = std::array<unsigned char, EVP_MAX_MD_SIZE>;

// What may be asked for is told to the client, and whatever it shows is taken: what that is worth is told by
// client_certificate().
int take_any(int, X509_STORE_CTX*) { return 1; }

// SHA-256 of how strictly they are asked for, and of all of them.
bool set_session_context(SSL_CTX* context, conf::TlsClients::Mode mode, const Authorities& believed) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> all(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  Digest digest;
  unsigned size = 0;
  bool good = EVP_DigestInit_ex(all.get(), EVP_sha256(), nullptr) == 1 &&
              EVP_DigestUpdate(all.get(), &mode, sizeof mode) == 1;
  for (const auto& certificate : believed.certificates)
    good = good && X509_digest(certificate.get(), EVP_sha256(), digest.data(), &size) == 1 &&
           EVP_DigestUpdate(all.get(), digest.data(), size) == 1;
  return good && EVP_DigestFinal_ex(all.get(), digest.data(), &size) == 1 &&
         SSL_CTX_set_session_id_context(context, digest.data(), size) == 1;
}

// In RFC 2253 whatever is no printable ASCII is escaped.
std::string subject_of(const X509* certificate) {
  const std::unique_ptr<BIO, FreeBio> out(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(out.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<size_t>(size)};
}

// Whatever could end a value or begin another is encoded, and all that is no ASCII (RFC 3986, section 2.1).
void add_encoded(std::string_view value, std::string& out) {
  constexpr std::string_view kPlain = "-._~:/@*+?=&#[]";
  for (const char octet : value) {
    const bool is_plain = (octet >= '0' && octet <= '9') || (octet >= 'A' && octet <= 'Z') ||
                          (octet >= 'a' && octet <= 'z') || kPlain.find(octet) != std::string_view::npos;
    if (is_plain) {
      out += octet;
      continue;
    }
    const auto code = static_cast<unsigned char>(octet);
    out += '%';
    out += kHexDigits[code >> 4];
    out += kHexDigits[code & 15];
  }
}

std::string names_of(const X509* certificate) {
  const std::unique_ptr<GENERAL_NAMES, FreeNames> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  std::string out;
  const auto add = [&out](const char* kind, std::string_view value) {
    if (!out.empty()) out += ',';
    out += kind;
    add_encoded(value, out);
  };
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) add("DNS:", text_of(name->d.dNSName));
    if (name->type == GEN_EMAIL) add("email:", text_of(name->d.rfc822Name));
    if (name->type == GEN_URI) add("URI:", text_of(name->d.uniformResourceIdentifier));
    if (name->type == GEN_IPADD) add("IP:", address_text(name->d.iPAddress));
  }
  return out;
}

std::string fingerprint_of(const X509* certificate) {
  Digest digest;
  unsigned size = 0;
  X509_digest(certificate, EVP_sha256(), digest.data(), &size);
  std::string out;
  for (unsigned i = 0; i < size; ++i) {
    out += kHexDigits[digest[i] >> 4];
    out += kHexDigits[digest[i] & 15];
  }
  return out;
}

}  // namespace

bool ask_for_certificates(SSL_CTX* context, conf::TlsClients::Mode mode, const Authorities& believed) {
  const bool is_required = mode == conf::TlsClients::Mode::required;
  for (const auto& certificate : believed.certificates)
    if (SSL_CTX_add_client_CA(context, certificate.get()) != 1) return false;
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (is_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                     is_required ? nullptr : take_any);
  return SSL_CTX_set1_verify_cert_store(context, believed.store.get()) == 1 &&
         set_session_context(context, mode, believed);
}

ClientCertificate client_certificate(const SSL* tls) {
  ClientCertificate shown;
  const std::unique_ptr<X509, FreeX509> certificate(SSL_get1_peer_certificate(tls));
  if (!certificate) return shown;
  // A session that is resumed may be older than the end of its certificate's time.
  const bool has_expired = X509_cmp_current_time(X509_get0_notAfter(certificate.get())) < 0;
  shown.verified = SSL_get_verify_result(tls) == X509_V_OK && !has_expired ? ClientCertificate::Verified::yes
                                                                           : ClientCertificate::Verified::no;
  if (shown.verified == ClientCertificate::Verified::no) return shown;
  shown.subject = subject_of(certificate.get());
  shown.san = names_of(certificate.get());
  shown.fingerprint = fingerprint_of(certificate.get());
  return shown;
}

}  // namespace limpet::net
