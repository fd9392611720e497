#include "src/status/page.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

namespace limpet::status {

namespace {

// " 'sha256-…'" for what stands between each <tag> and </tag>.
std::string hashes(std::string_view page, std::string_view tag) {
  const std::string begin = "<" + std::string(tag) + ">", end = "</" + std::string(tag) + ">";
  std::string out;
  for (size_t at = page.find(begin); at != std::string_view::npos; at = page.find(begin, at)) {
    at += begin.size();
    const std::string_view inside = page.substr(at, page.find(end, at) - at);
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(inside.data()), inside.size(), digest);
    unsigned char encoded[4 * ((sizeof digest + 2) / 3) + 1];
    EVP_EncodeBlock(encoded, digest, sizeof digest);
    out.append(" 'sha256-").append(reinterpret_cast<const char*>(encoded)).append("'");
  }
  return out;
}

}  // namespace

std::string security_policy(std::string_view page) {
  return "default-src 'none'; script-src" + hashes(page, "script") + "; style-src" + hashes(page, "style") +
         "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
}

}  // namespace limpet::status
