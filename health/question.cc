#include "health/question.h"

namespace limpet::health {

bool is_configured(const conf::HealthCheck& check) { return check.kind != conf::HealthCheck::Kind::none; }

conf::HealthCheck question(const conf::HealthCheck& check) {
  if (is_configured(check)) return check;
  conf::HealthCheck asked;  // what its pool's check is like is nothing to a backend that has none
  asked.kind = conf::HealthCheck::Kind::http;
  asked.method = "HEAD";
  asked.status = {{100, 501}, {505, 599}};
  asked.interval = check.interval;
  asked.fast_interval = check.fast_interval;
  asked.timeout = check.timeout;
  asked.rise = check.rise;
  asked.fall = check.fall;
  return asked;
}

std::string text(const conf::HealthCheck& check) {
  const conf::HealthCheck asked = question(check);
  std::string text = asked.tls ? "a TLS connection" : "a connection";
  if (asked.kind == conf::HealthCheck::Kind::http) text = asked.method + ' ' + asked.path;
  if (asked.kind == conf::HealthCheck::Kind::grpc)
    text = "grpc.health.v1" + (asked.service.empty() ? "" : " of " + asked.service);
  if (asked.port != 0) text += " at port " + std::to_string(asked.port);
  return text;
}

}  // namespace limpet::health
