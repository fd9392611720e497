#include "src/net/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "conf/ascii.h"
#include "conf/ip_address.h"
#include "conf/read_file.h"
#include "src/net/openssl.h"

namespace limpet::net {

namespace {

constexpr size_t kMostBytes = 1024 * 1024;  // of a file; chains have some ten thousand

// Nobody is at hand to type a pass phrase.
int no_pass_phrase(char*, int, int, void*) { return 0; }

std::string last_reason() {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason != nullptr ? reason : "unknown";
}

// Empty, and why in `error`: it cannot be read.
std::string content_of(const std::string& file, std::string& error) {
  conf::FileText read = conf::read_file(file, kMostBytes + 1);
  if (!read.wrong.empty()) {
    error = file + " " + read.wrong;
  } else if (read.text.size() > kMostBytes) {
    error = file + " is larger than 1 MiB, so it is no certificate";
  }
  return std::move(read.text);
}

std::unique_ptr<BIO, FreeBio> reader(const std::string& text) {
  return std::unique_ptr<BIO, FreeBio>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

using Chain = std::vector<std::unique_ptr<X509, FreeX509>>;

std::string read_chain(const std::string& file, const std::string& text, Chain& out) {
  const auto bio = reader(text);
  ERR_clear_error();
  for (;;) {
    std::unique_ptr<X509, FreeX509> next(PEM_read_bio_X509(bio.get(), nullptr, no_pass_phrase, nullptr));
    if (!next) break;
    out.push_back(std::move(next));
  }
  const unsigned long error = ERR_peek_last_error();
  const bool is_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (!is_end) return file + " holds a certificate that cannot be read: " + last_reason();
  return out.empty() ? file + " holds no certificate (PEM: -----BEGIN CERTIFICATE-----)" : "";
}

std::string read_own_chain(const std::string& text, Certificate& made) {
  const std::string wrong = read_chain(made.file, text, made.chain);
  if (!wrong.empty()) return wrong;
  made.leaf = std::move(made.chain.front());
  made.chain.erase(made.chain.begin());
  return {};
}

std::string read_key(const std::string& file, const std::string& text, Certificate& made) {
  const auto bio = reader(text);
  ERR_clear_error();
  made.key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, nullptr));
  if (!made.key) {
    if (text.find("ENCRYPTED") != std::string::npos)
      return file + " holds a private key with a pass phrase, which nobody can type here: remove it";
    return file + " holds no private key that can be read (PEM: -----BEGIN PRIVATE KEY-----)";
  }
  if (X509_check_private_key(made.leaf.get(), made.key.get()) != 1)
    return "the private key in " + file + " is not that of the certificate in " + made.file;
  return {};
}

int64_t unix_seconds(const ASN1_TIME* time) {
  std::tm parts{};
  return ASN1_TIME_to_tm(time, &parts) == 1 ? timegm(&parts) : 0;
}

// What holds anything but printable ASCII is no host's, and could be told nowhere as it stands.
void add_name(std::string_view name, Certificate& made) {
  const bool is_name =
      !name.empty() && std::all_of(name.begin(), name.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (is_name) made.names.push_back(lower_case(name));
}

void read_names(Certificate& made) {
  const std::unique_ptr<GENERAL_NAMES, FreeNames> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(made.leaf.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      add_name(text_of(name->d.dNSName), made);
    } else if (name->type == GEN_IPADD) {
      add_name(address_text(name->d.iPAddress), made);
    }
  }
  if (names) return;
  char common[256];
  const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(made.leaf.get()), NID_commonName, common,
                                             sizeof common);
  if (size > 0) add_name({common, static_cast<size_t>(size)}, made);
}

}  // namespace

bool show(SSL_CTX* context, const Certificate& certificate) {
  return SSL_CTX_use_certificate(context, certificate.leaf.get()) == 1 &&
         SSL_CTX_use_PrivateKey(context, certificate.key.get()) == 1 &&
         std::all_of(certificate.chain.begin(), certificate.chain.end(), [context](const auto& link) {
           return SSL_CTX_add1_chain_cert(context, link.get()) == 1;
         });
}

bool Certificate::is_self_signed() const {
  return X509_NAME_cmp(X509_get_subject_name(leaf.get()), X509_get_issuer_name(leaf.get())) == 0;
}

bool are_same(const Certificate& a, const Certificate& b) {
  const auto equal = [](const auto& one, const auto& other) { return X509_cmp(one.get(), other.get()) == 0; };
  return equal(a.leaf, b.leaf) && EVP_PKEY_eq(a.key.get(), b.key.get()) == 1 &&
         std::equal(a.chain.begin(), a.chain.end(), b.chain.begin(), b.chain.end(), equal);
}

std::string address_text(const ASN1_OCTET_STRING* octets) {
  const uint8_t* const bytes = ASN1_STRING_get0_data(octets);
  const int size = ASN1_STRING_length(octets);
  conf::IpAddress address;
  if (size == 4) return conf::IpAddress::from_v4({bytes[0], bytes[1], bytes[2], bytes[3]}).text();
  if (size != static_cast<int>(address.bytes.size())) return {};
  std::copy_n(bytes, address.bytes.size(), address.bytes.begin());
  return address.text();
}

std::string read_certificates(const std::string& file, Chain& out) {
  std::string error;
  const std::string text = content_of(file, error);
  return error.empty() ? read_chain(file, text, out) : error;
}

std::variant<SharedCertificate, std::string> load_certificate(const std::string& file,
                                                              const std::string& key_file) {
  auto made = std::make_shared<Certificate>();
  made->file = file;
  std::string error;
  std::string text = content_of(file, error);
  if (error.empty()) error = read_own_chain(text, *made);
  if (error.empty() && !key_file.empty()) text = content_of(key_file, error);
  if (error.empty()) error = read_key(key_file.empty() ? file : key_file, text, *made);
  OPENSSL_cleanse(text.data(), text.size());
  if (!error.empty()) return error;
  made->not_before = unix_seconds(X509_get0_notBefore(made->leaf.get()));
  made->not_after = unix_seconds(X509_get0_notAfter(made->leaf.get()));
  read_names(*made);
  return made;
}

bool covers(std::string_view name, std::string_view host) {
  if (!name.starts_with("*.")) return name == host;
  const size_t dot = host.find('.');
  return dot != std::string_view::npos && dot != 0 && name.substr(1) == host.substr(dot);
}

}  // namespace limpet::net
