// The question that Limpet puts to a backend to find out whether it works: the check that is configured; else
// HEAD /, which any answer in HTTP passes but the three that a proxy gives when its own server does not
// answer (RFC 9110, sections 15.6.3 to 15.6.5).
#pragma once

#include <string>

#include "conf/settings.h"

namespace limpet::health {

bool is_configured(const conf::HealthCheck& check);
conf::HealthCheck question(const conf::HealthCheck& check);
std::string text(const conf::HealthCheck&
                     check);  // "GET /health", "HEAD /", "grpc.health.v1 of shop.v1.Cart", "a connection"

}  // namespace limpet::health
