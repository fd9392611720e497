#include "src/status/token.h"

#include <cerrno>
#include <cstring>
#include <fstream>

#include "conf/grammar.h"

namespace limpet::status {

LoadedToken check_token(std::string_view text, const std::string& whence) {
  text = text.substr(0, text.find_last_not_of(" \t\r") + 1);
  conf::Parsed<std::string> parsed = conf::parse_status_token(text);
  if (std::string* const token = parsed.value()) return {std::move(*token), ""};
  return {"", whence + " " + parsed.what() + ", accepted: at least " +
                  std::to_string(conf::Status::kLeastToken) +
                  " characters of printable ASCII without spaces"};
}

LoadedToken read_token_file(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  if (in) std::getline(in, line);
  if (!in.is_open() || in.bad()) return {"", path + " cannot be read: " + std::strerror(errno)};
  return check_token(line, "the first line of " + path);
}

LoadedToken load_token(const conf::Status& settings) {
  if (settings.token_file.empty()) return {settings.token, ""};
  LoadedToken loaded = read_token_file(settings.token_file);
  if (!loaded.wrong.empty()) loaded.wrong.insert(0, "status.token_file: ");
  return loaded;
}

}  // namespace limpet::status
