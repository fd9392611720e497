#include "src/status/token.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "conf/grammar.h"

namespace limpet::status {

namespace {

bool is_open_to_all(const std::string& path) {
  struct stat status{};
  return ::stat(path.c_str(), &status) == 0 && (status.st_mode & S_IRWXO) != 0;
}

}  // namespace

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
  if (!loaded.wrong.empty()) {
    loaded.wrong.insert(0, "status.token_file: ");
  } else if (is_open_to_all(settings.token_file)) {
    loaded.warning = "the token file " + settings.token_file +
                     " is open to every user of this machine, who could give orders: chmod 600 it";
  }
  return loaded;
}

}  // namespace limpet::status
