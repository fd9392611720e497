#include "health/question.h"

namespace limpet::health {

bool is_configured(const conf::HealthCheck& check) { return check.kind != conf::HealthCheck::Kind::none; }

conf::HealthCheck question(const conf::HealthCheck& check) {
  if (is_configured(check)) return check;
  conf::HealthCheck asked = check;
  asked.kind = conf::HealthCheck::Kind::http;
  asked.method = "HEAD";
  asked.path = "/";
  asked.status = {{100, 501}, {505, 599}};
  asked.instance_header.clear();
  return asked;
}

std::string text(const conf::HealthCheck& check) {
  const conf::HealthCheck asked = question(check);
  std::string text = asked.kind == conf::HealthCheck::Kind::http ? asked.method + ' ' + asked.path
                     : asked.tls                                 ? "a TLS connection"
                                                                 : "a connection";
  if (asked.port != 0) text += " at port " + std::to_string(asked.port);
  return text;
}

}  // namespace limpet::health
