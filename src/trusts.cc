#include "src/trusts.h"

namespace limpet {

std::variant<Trusts, std::string> load_trusts(const conf::Settings& settings) {
  Trusts made;
  for (const conf::Pool& pool : settings.pools) {
    made.emplace_back();
    if (!pool.tls) continue;
    std::string error;
    made.back() = net::load_trust(*pool.tls, error);
    const bool is_taken = made.back() != nullptr && net::TlsConnector::make(made.back(), error) != nullptr;
    if (!is_taken) return "pool " + pool.name + ": " + error;
  }
  return made;
}

}  // namespace limpet
