#include "src/status/ask.h"

#include <nlohmann/json.hpp>

#include "src/status/json.h"

namespace limpet::status {

Answer failure(int status, std::string_view text) {
  Json body;
  body["error"] = text;
  return {status, "application/json", written(body)};
}

}  // namespace limpet::status
