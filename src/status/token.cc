#include "src/status/token.h"

#include <cerrno>
#include <cstring>
#include <fstream>

namespace limpet::status {

LoadedToken load_token(const conf::Status& settings) {
  if (settings.token_file.empty()) return {settings.token, ""};
  std::ifstream in(settings.token_file);
  std::string line;
  if (!std::getline(in, line))
    return {"", "status.token_file: " + settings.token_file + " cannot be read: " + std::strerror(errno)};
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
  if (line.size() < conf::Status::kLeastToken)
    return {"", "status.token_file: the first line of " + settings.token_file +
                    " is too short, accepted: at least " + std::to_string(conf::Status::kLeastToken) +
                    " characters"};
  return {line, ""};
}

}  // namespace limpet::status
