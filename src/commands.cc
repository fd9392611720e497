#include "src/commands.h"

#include <pwd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <thread>

#include "conf/spelling.h"
#include "src/status/client.h"
#include "src/status/json.h"
#include "src/status/path.h"
#include "src/status/tables.h"
#include "src/status/token.h"
#include "src/status/words.h"

namespace limpet {

namespace {

using status::Json;
using status::percent_encoded;
using Command = CommandLine::Command;

// What keeps a command from being done, in words; caught at its door.
struct Refused {
  std::string why;
};

constexpr char kClearScreen[] = "\x1b[H\x1b[J";
constexpr char kClearLine[] = "\r\x1b[K";
constexpr int64_t kTick =
    2;  // seconds that an incident may close before its backend's state changes, or after
constexpr std::chrono::seconds kBetweenLines{10};  // of progress, where it is not drawn

// Several lines stay several: a refused reload names each fault in one of its own.
std::string escaped_lines(std::string_view text) {
  std::string out;
  for (;;) {
    const size_t end = text.find('\n');
    out += conf::escaped(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    out += '\n';
    text.remove_prefix(end + 1);
  }
}

// After "it is": the state, and why.
std::string condition(const Json& backend) {
  const std::string state = backend.at("state");
  return conf::escaped((state == "maintenance" ? "in maintenance" : state) + ", " +
                       backend.at("why").get<std::string>());
}

std::string login_name() {
  const passwd* const user = getpwuid(geteuid());
  return user != nullptr ? user->pw_name : "uid " + std::to_string(geteuid());
}

std::string token_of(const CommandLine& asked) {
  if (asked.token_file.empty() && asked.token.empty()) return "";
  status::LoadedToken loaded = asked.token_file.empty() ? status::check_token(asked.token, "LIMPET_TOKEN")
                                                        : status::read_token_file(asked.token_file);
  if (!loaded.wrong.empty()) throw Refused{loaded.wrong};
  return std::move(loaded.text);
}

status::Client client_of(const CommandLine& asked) {
  auto where = status::parse_where(asked.at, !asked.ca.empty());
  if (!where) {
    const std::string host = asked.at.substr(0, asked.at.find_last_not_of('/') + 1);
    const bool lacks_port = status::parse_where(host + ":1", false).has_value();
    throw Refused{conf::in_quotes(asked.at) + (lacks_port ? " says no port: HOST:PORT" : " is no HOST:PORT")};
  }
  if (!where->tls && !asked.ca.empty())
    throw Refused{"--ca (or LIMPET_CA) says whom to trust by TLS, and http:// is without it"};
  std::shared_ptr<net::TlsTrust> trust;
  if (where->tls) {
    auto authorities = net::load_authorities(asked.ca);
    if (auto* wrong = std::get_if<std::string>(&authorities)) throw Refused{std::move(*wrong)};
    trust = std::make_shared<net::TlsTrust>();
    trust->authorities = std::move(std::get<net::SharedAuthorities>(authorities));
  }
  return {std::move(where->address), token_of(asked), login_name(), std::move(trust)};
}

class Asker {
 public:
  Asker(const CommandLine& asked, const Terminal& terminal, std::chrono::milliseconds every)
      : asked_(asked), terminal_(terminal), every_(every), client_(client_of(asked)) {}

  int run();

 private:
  std::string body_of(const char* method, const std::string& path) const;
  Json get(const std::string& path) const;
  std::string backend_path() const;
  std::string session_path() const;
  void show(const std::string& path, std::string (*words)(const Json&)) const;
  int watch() const;
  int order(const std::string& path) const;
  // The first and the last look at what went on; null where it never did. And how it ended.
  struct Followed {
    Json first, last, end;
  };
  Followed follow(bool (*goes_on)(const Json&), std::string (*line)(const Json&, int64_t, size_t)) const;
  int wait_for_drain() const;
  int wait_until_up() const;
  int drain_is_over(const Followed& drain) const;
  Json incident_of_drain(const Json& backend) const;
  static std::string drain_story(const Followed& drain, const Json& incident, uint64_t cut);
  void say(const std::string& line) const { terminal_.out << line << std::endl; }

  const CommandLine& asked_;
  const Terminal& terminal_;
  const std::chrono::milliseconds every_;
  const status::Client client_;
};

// The answer's body, if it is what was asked for.
std::string Asker::body_of(const char* method, const std::string& path) const {
  auto sent = client_.send(method, path);
  if (auto* wrong = std::get_if<std::string>(&sent)) throw Refused{std::move(*wrong)};
  auto& reply = std::get<status::Client::Reply>(sent);
  if (reply.status == 200) return std::move(reply.body);
  const Json body = Json::parse(reply.body, nullptr, false);
  const bool says_why = body.is_object() && body.contains("error") && body["error"].is_string();
  std::string why = says_why ? escaped_lines(body["error"].get<std::string>())
                             : "it answered " + std::to_string(reply.status);
  if (reply.status == 401) why += " (--token-file or LIMPET_TOKEN gives it)";
  throw Refused{std::move(why)};
}

Json Asker::get(const std::string& path) const { return Json::parse(body_of("GET", path)); }

std::string Asker::backend_path() const {
  return "/pools/" + percent_encoded(asked_.pool) + "/backends/" + percent_encoded(asked_.backend);
}

std::string Asker::session_path() const {
  return "/pools/" + percent_encoded(asked_.pool) + "/sessions/" + percent_encoded(asked_.session);
}

int Asker::run() {
  switch (asked_.command) {
    case Command::status:
      if (asked_.watch) return watch();
      show("/status", status::status_table);
      return kExitOk;
    case Command::incidents:
      show("/incidents", status::incidents_table);
      return kExitOk;
    case Command::session:
      show("/sessions/" + percent_encoded(asked_.session),
           [](const Json& found) { return status::session_lines(found, std::time(nullptr)); });
      return kExitOk;
    case Command::drain:
      order(backend_path() + (asked_.known_only ? "/drain?known_only=true" : "/drain"));
      return asked_.wait ? wait_for_drain() : kExitOk;
    case Command::up:
      order(backend_path() + "/up");
      return asked_.wait ? wait_until_up() : kExitOk;
    case Command::undrain:
    case Command::maintenance:
      return order(backend_path() + "/" + asked_.name);
    case Command::unbind:
      return order(session_path() + "/unbind");
    case Command::pin:
      return order(session_path() + "/pin?backend=" + percent_encoded(asked_.backend));
    case Command::reload:
      return order("/reload");
    case Command::run:
    case Command::check:
    case Command::none:
      break;
  }
  return kExitMisused;
}

void Asker::show(const std::string& path, std::string (*words)(const Json&)) const {
  const std::string body = body_of("GET", path);
  terminal_.out << (asked_.json ? body : words(Json::parse(body))) << std::flush;
}

// Until it is interrupted; what goes wrong meanwhile is shown, and tried again.
int Asker::watch() const {
  for (;;) {
    std::string text;
    try {
      const std::string body = body_of("GET", "/status");
      text = asked_.json ? body : status::status_table(Json::parse(body));
    } catch (const Refused& refused) {
      text = (asked_.json ? Json({{"error", refused.why}}).dump() : refused.why) + '\n';
    }
    if (terminal_.columns != 0 && !asked_.json) terminal_.out << kClearScreen;
    terminal_.out << text << std::flush;
    if (!terminal_.out) return kExitFault;
    std::this_thread::sleep_for(every_);
  }
}

int Asker::order(const std::string& path) const {
  const std::string body = body_of("POST", path);
  if (asked_.json) {
    terminal_.out << body << std::flush;
  } else {
    say(escaped_lines(Json::parse(body).at("text").get<std::string>()));
  }
  return kExitOk;
}

// Shows how the backend goes on, until it does no more: drawn over on a terminal, a line from time to time
// otherwise.
Asker::Followed Asker::follow(bool (*goes_on)(const Json&),
                              std::string (*line)(const Json&, int64_t, size_t)) const {
  Json first, latest;
  std::string last;
  std::optional<std::chrono::steady_clock::time_point> said;
  for (;;) {
    Json backend = get(backend_path());
    if (asked_.json) say(backend.dump());
    if (!goes_on(backend)) {
      if (terminal_.columns != 0 && !asked_.json) terminal_.out << kClearLine;
      return {std::move(first), std::move(latest), std::move(backend)};
    }
    const std::string text =
        line(backend, std::time(nullptr), terminal_.columns == 0 ? SIZE_MAX : terminal_.columns - 1);
    const auto now = std::chrono::steady_clock::now();
    if (asked_.json) {
      // said already
    } else if (terminal_.columns != 0) {
      terminal_.out << kClearLine << text << std::flush;
    } else if (text != last && (!said || now - *said >= kBetweenLines)) {
      say(text);
      said = now;
      last = text;
    }
    if (first.is_null()) first = backend;
    latest = std::move(backend);
    std::this_thread::sleep_for(every_);
  }
}

int Asker::wait_for_drain() const {
  return drain_is_over(follow(
      [](const Json& backend) { return backend.at("state") == "draining" && !backend.at("drain").is_null(); },
      status::drain_line));
}

int Asker::wait_until_up() const {
  const Json backend =
      follow([](const Json& seen) { return seen.at("state") == "down"; }, status::waiting_line).end;
  const std::string name = conf::escaped(asked_.pool + "/" + asked_.backend);
  if (backend.at("state") != "up") throw Refused{name + " is " + condition(backend)};
  if (!asked_.json) say(name + " is up");
  return kExitOk;
}

int Asker::drain_is_over(const Followed& drain) const {
  const std::string name = conf::escaped(asked_.pool + "/" + asked_.backend), cause = drain.end.at("cause");
  if (drain.end.at("state") != "maintenance" || (cause != "drained" && cause != "drain_timeout"))
    throw Refused{"the drain of " + name + " ended before its time: it is " + condition(drain.end)};
  const Json incident = incident_of_drain(drain.end);
  const bool was_cut = !incident.is_null() && incident.at("end") == "deadline";
  const uint64_t cut = was_cut ? incident.at("left").get<uint64_t>() : 0;
  if (!asked_.json) say(name + " is drained" + drain_story(drain, incident, cut));
  return cut > 0 ? kExitFault : kExitOk;
}

// Of the drain that is over; null: there was nothing to drain.
Json Asker::incident_of_drain(const Json& backend) const {
  const Json found = get("/incidents");
  for (const Json& incident : found.at("incidents")) {
    if (incident.at("pool") != asked_.pool || incident.at("backend") != asked_.backend ||
        incident.at("kind") != "drain")
      continue;
    const bool is_this_one =
        !incident.at("closed").is_null() &&
        incident.at("closed").get<int64_t>() + kTick >= backend.at("since").get<int64_t>();
    return is_this_one ? incident : Json();
  }
  return {};
}

// Whom it cost their sessions, as far as that is known.
std::string Asker::drain_story(const Followed& drain, const Json& incident, uint64_t cut) {
  const auto unknown = [](const Json& look) {  // an older Limpet tells nothing of it
    return look.is_null() ? Json() : look.at("drain").value("unknown", Json());
  };
  std::string story;
  bool had_any = true;
  if (!incident.is_null()) {
    const auto began_with = incident.at("at_risk").get<uint64_t>();
    had_any = began_with + incident.at("joined").get<uint64_t>() > 0;
    story +=
        " after " +
        conf::duration_words(incident.at("closed").get<int64_t>() - incident.at("opened").get<int64_t>()) +
        ": it began with " + conf::counted(began_with, "session");
  }
  const Json at_first = unknown(drain.first), at_last = unknown(drain.last);
  const bool all_are_known = drain.end.at("cause") == "drained" || at_last.is_null();
  if (cut > 0)
    story += ", and " + std::to_string(cut) + (cut == 1 ? " was" : " were") + " cut at the deadline";
  else if (!all_are_known)
    story += ", none that is known was cut";
  else if (!had_any && !at_first.is_null())
    story += ", none was seen for " + conf::duration_words(at_first.at("idle_timeout_s").get<int64_t>());
  else
    story += ", none was cut";
  return all_are_known ? story : story + "; " + conf::escaped(at_last.at("text").get<std::string>());
}

}  // namespace

int run_command(const CommandLine& asked, const Terminal& terminal, std::chrono::milliseconds every) {
  std::string why;
  try {
    return Asker(asked, terminal, every).run();
  } catch (const Refused& refused) {
    why = refused.why;
  } catch (const Json::exception&) {
    why = "what answers at " + asked.at + " is not Limpet's status endpoint, or one of another version";
  }
  terminal.err << "limpet " << asked.name << ": " << why << '\n';
  return kExitFault;
}

size_t terminal_columns() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0) return 0;
  constexpr size_t kUsual = 80;
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1 ? size.ws_col : kUsual;
}

}  // namespace limpet
