#include "src/proxy/set_cookie.h"

namespace limpet::proxy {

std::string set_cookie_attributes(const conf::CookieAffinity& cookie, bool is_secure) {
  std::string out = "; Path=" + cookie.path;
  if (!cookie.domain.empty()) out.append("; Domain=").append(cookie.domain);
  if (is_secure) out.append("; Secure");
  if (cookie.http_only) out.append("; HttpOnly");
  switch (cookie.same_site) {
    case conf::SameSite::unset:
      break;
    case conf::SameSite::lax:
      out.append("; SameSite=Lax");
      break;
    case conf::SameSite::strict:
      out.append("; SameSite=Strict");
      break;
    case conf::SameSite::none:
      out.append("; SameSite=None");
      break;
  }
  if (cookie.partitioned) out.append("; Partitioned");
  for (const std::string& attribute : cookie.attributes) out.append("; ").append(attribute);
  return out;
}

}  // namespace limpet::proxy
