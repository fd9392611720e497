#include "src/status/token.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "conf/grammar.h"
#include "conf/read_file.h"

namespace limpet::status {

namespace {

constexpr size_t kMostBytes = 64 * conf::KiB;  // of a token file; of a longer one that much is read

std::string first_line_of(const std::string& path) { return "the first line of " + path; }

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
  return check_token(line, first_line_of(path));
}

LoadedToken load_token(const conf::Status& settings) {
  if (settings.token_file.empty()) return {settings.token, ""};
  const std::string& path = settings.token_file;
  const conf::FileText file = conf::read_file(path, kMostBytes);
  LoadedToken loaded{"", path + " " + file.wrong};
  if (file.wrong.empty())
    loaded = check_token(file.text.substr(0, file.text.find('\n')), first_line_of(path));
  if (!loaded.wrong.empty()) {
    loaded.wrong.insert(0, "status.token_file: ");
  } else if ((file.mode & S_IRWXO) != 0) {
    loaded.warning = "the token file " + path +
                     " is open to every user of this machine, who could give orders: chmod 600 it";
  }
  return loaded;
}

}  // namespace limpet::status
