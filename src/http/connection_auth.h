// Schemes that authenticate a connection and not a request (RFC 4559, section 6): whoever speaks next on it
// is taken for the user who logged in.
#pragma once

#include "src/http/head.h"

namespace limpet::http {

bool carries_connection_credentials(const Fields& request);
bool challenges_connection(const Fields& answer);  // of status 401 or 407

}  // namespace limpet::http
