#include "src/net/certificate.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>
#include <utility>

#include "conf/ascii.h"

namespace limpet::net {

namespace {

constexpr size_t kMostBytes = 1024 * 1024;  // of a file; chains have some ten thousand

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
struct FreeNames {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

// Nobody is at hand to type a pass phrase.
int no_pass_phrase(char*, int, int, void*) { return 0; }

std::string openssl_reason() {
  const char* const reason = ERR_reason_error_string(ERR_peek_last_error());
  return reason != nullptr ? reason : "unknown";
}

// False: it cannot be read, and why is in `error`.
bool read_file(const std::string& file, std::string& text, std::string& error) {
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream all;
  if (stream) all << stream.rdbuf();
  if (!stream) {
    error = file + " cannot be read: " + std::strerror(errno);
    return false;
  }
  text = std::move(all).str();
  if (text.size() <= kMostBytes) return true;
  error = file + " is larger than 1 MiB, so it is no certificate";
  return false;
}

std::unique_ptr<BIO, FreeBio> reader(const std::string& text) {
  return std::unique_ptr<BIO, FreeBio>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string read_chain(const std::string& text, Certificate& made) {
  const auto bio = reader(text);
  ERR_clear_error();
  for (;;) {
    std::unique_ptr<X509, FreeX509> next(PEM_read_bio_X509(bio.get(), nullptr, no_pass_phrase, nullptr));
    if (!next) break;
    if (!made.leaf) {
      made.leaf = std::move(next);
    } else {
      made.chain.push_back(std::move(next));
    }
  }
  const unsigned long error = ERR_peek_last_error();
  const bool is_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (!is_end) return made.file + " holds a certificate that cannot be read: " + openssl_reason();
  return made.leaf ? "" : made.file + " holds no certificate (PEM: -----BEGIN CERTIFICATE-----)";
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

std::string address_text(const ASN1_OCTET_STRING* bytes) {
  ASN1_OCTET_STRING* copy = ASN1_OCTET_STRING_dup(bytes);
  GENERAL_NAME name{};
  name.type = GEN_IPADD;
  name.d.iPAddress = copy;
  std::unique_ptr<BIO, FreeBio> out(BIO_new(BIO_s_mem()));
  GENERAL_NAME_print(out.get(), &name);
  ASN1_OCTET_STRING_free(copy);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  const std::string_view printed(text, static_cast<size_t>(size));  // "IP Address:192.0.2.1"
  return std::string(printed.substr(std::min(printed.size(), printed.find(':') + 1)));
}

void read_names(Certificate& made) {
  const std::unique_ptr<GENERAL_NAMES, FreeNames> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(made.leaf.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      const std::string_view text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                                  static_cast<size_t>(ASN1_STRING_length(name->d.dNSName)));
      made.names.push_back(lower_case(text));
    } else if (name->type == GEN_IPADD) {
      made.names.push_back(address_text(name->d.iPAddress));
    }
  }
  if (names) return;
  char common[256];
  const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(made.leaf.get()), NID_commonName, common,
                                             sizeof common);
  if (size > 0) made.names.push_back(lower_case({common, static_cast<size_t>(size)}));
}

}  // namespace

bool Certificate::is_self_signed() const {
  return X509_NAME_cmp(X509_get_subject_name(leaf.get()), X509_get_issuer_name(leaf.get())) == 0;
}

std::variant<SharedCertificate, std::string> load_certificate(const std::string& file,
                                                              const std::string& key_file) {
  auto made = std::make_shared<Certificate>();
  made->file = file;
  std::string text, error;
  if (!read_file(file, text, error)) return error;
  if (error = read_chain(text, *made); !error.empty()) return error;
  if (!key_file.empty() && !read_file(key_file, text, error)) return error;
  error = read_key(key_file.empty() ? file : key_file, text, *made);
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
