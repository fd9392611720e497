// The attributes of the pool's own cookie, as they follow its value in Set-Cookie (RFC 6265, section 4.1).
#pragma once

#include <string>

#include "conf/settings.h"

namespace limpet::proxy {

// "; Path=/; HttpOnly; SameSite=Lax"
std::string set_cookie_attributes(const conf::CookieAffinity& cookie, bool is_secure);

}  // namespace limpet::proxy
