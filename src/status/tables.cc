#include "src/status/tables.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "conf/spelling.h"
#include "src/status/report.h"
#include "src/status/words.h"

namespace limpet::status {

namespace {

using Align = Table::Align;

std::string text(const Json& json, const char* key) { return json.at(key).get<std::string>(); }
uint64_t number(const Json& json, const char* key) { return json.at(key).get<uint64_t>(); }

std::string returned(const Json& sessions) {
  const uint64_t live = number(sessions, "live"), back = number(sessions.at("returned"), "live");
  return live == 0 ? "-" : std::to_string((back * 100 + live / 2) / live) + " %";
}

// "8", or "8 to 11" where what became of some is not certain.
std::string lost_words(uint64_t lost, const Json& bounds) {
  const uint64_t at_most = bounds.value("lost_at_most", lost);  // an older Limpet may tell none
  return std::to_string(lost) + (at_most > lost ? " to " + std::to_string(at_most) : "");
}

std::vector<std::string> row(const std::string& name, const std::string& state, const Json& json,
                             const std::string& why) {
  const Json& sessions = json.at("sessions");
  const Json& requests = json.at("requests");
  const Json& latency = requests.at("latency");
  return {name,
          state,
          std::to_string(number(sessions, "live")),
          std::to_string(number(sessions, "at_risk")),
          returned(sessions),
          lost_words(number(sessions.at("totals"), "lost"), sessions),
          std::to_string(number(requests, "answered") + number(requests, "unanswered")),
          std::to_string(number(requests, "failed")),
          number(latency, "count") == 0 ? "-" : latency_words(latency.at("p99_ms").get<double>()),
          why};
}

// How many sessions are left, when they are gone, and when those that are not are cut.
std::string drain_words(const Json& drain, int64_t now) {
  std::string words = text(drain.at("forecast"), "text");
  if (number(drain, "left") > 0) {
    const int64_t left = drain.at("deadline").get<int64_t>() - now;
    words += left > 0 ? ", cut in " + conf::duration_words(left) : ", cut now";
  }
  const Json unknown = drain.value("unknown", Json());  // an older Limpet tells nothing of it
  return unknown.is_null() ? words
                           : words + "; Limpet may not know all of its sessions for " +
                                 conf::duration_words(unknown.at("known_in_s").get<int64_t>()) + " yet";
}

// How many wait for a place at a backend that has no more; empty: it has. An older Limpet tells nothing of
// it.
std::string full_words(const Json& backend) {
  const auto most = backend.value("max_connections", uint64_t{0}),
             wait = backend.value("waiting", uint64_t{0});
  const uint64_t in_flight = number(backend.at("requests"), "in_flight");
  if (most == 0 || (wait == 0 && in_flight < most)) return "";
  const uint64_t served = std::max(most, in_flight - std::min(wait, in_flight));
  return "full: " + std::to_string(served) + " of " + std::to_string(most) +
         (wait == 0 ? "" : ", " + std::to_string(wait) + (wait == 1 ? " waits" : " wait"));
}

std::string why(const Json& backend, int64_t now) {
  std::string why = text(backend, "why");
  const int64_t lasted = now - backend.at("since").get<int64_t>();
  const bool is_since_then = text(backend, "state") != "up";  // what speaks against one that is up came later
  if (!why.empty() && is_since_then && lasted > 0) why += " (for " + conf::duration_words(lasted) + ")";
  const auto add = [&why](const std::string& more) { why += (why.empty() ? "" : "; ") + more; };
  if (const Json& drain = backend.at("drain"); !drain.is_null()) add(drain_words(drain, now));
  if (const auto warmth = number(backend, "warmth_percent"); warmth < 100)
    add("warming up, " + std::to_string(warmth) + " %");
  if (const std::string full = full_words(backend); !full.empty()) add(full);
  return why;
}

// "rate limit 3, shed 5", of those that there are; empty: there are none.
std::string count_words(const std::vector<std::pair<std::string, uint64_t>>& named) {
  std::string words;
  for (const auto& [name, count] : named) {
    if (count != 0) words += (words.empty() ? "" : ", ") + name + " " + std::to_string(count);
  }
  return words;
}

// What was refused for a limit. An older Limpet tells less.
std::string refusals(const Json& pool) {
  return count_words({{"rate limit", pool.value("rate_limited", uint64_t{0})},
                      {"shed", pool.at("decisions").value("shed", uint64_t{0})},
                      {"queue timeout", pool.value("queue", Json::object()).value("timeouts", uint64_t{0})}});
}

std::string why_pool(const Json& pool) {
  std::string why;
  const auto add = [&why](const std::string& more) { why += (why.empty() ? "" : "; ") + more; };
  if (!pool.value("listed", true)) add("the file does not name it any more");
  if (const auto imbalance = pool.at("books_imbalance").get<int64_t>(); imbalance != 0)
    add("BOOKS OUT OF BALANCE BY " + std::to_string(imbalance));
  if (pool.value("sheds", false)) add("REFUSES NEW SESSIONS (shed)");
  if (const std::string refused = refusals(pool); !refused.empty()) add("refused: " + refused);
  return why;
}

bool is_open(const Json& incident) { return incident.at("closed").is_null(); }

std::string where(const Json& incident) { return text(incident, "pool") + "/" + text(incident, "backend"); }

std::string cause(const Json& incident) {
  const std::string detail = text(incident, "detail");
  return detail.empty() ? text(incident, "cause") : text(incident, "cause") + ": " + detail;
}

// One sentence for an incident that goes on.
std::string going_on(const Json& incident, int64_t now) {
  const int64_t lasted = now - incident.at("opened").get<int64_t>();
  const uint64_t joined = number(incident, "joined");
  return "incident " + std::to_string(number(incident, "id")) + ": " +
         conf::escaped(where(incident) + " " + text(incident, "kind") + " (" + cause(incident) + ")") +
         (lasted > 0 ? " for " + conf::duration_words(lasted) : "") + ": of " +
         conf::counted(number(incident, "at_risk"), "session") + " (" +
         std::to_string(number(incident.at("returned"), "at_risk")) + " returned)" +
         (joined > 0 ? " and " + std::to_string(joined) + " that joined" : "") + ": " +
         lost_words(number(incident, "lost"), incident) + " lost, " +
         std::to_string(number(incident, "carried")) + " carried, " +
         std::to_string(number(incident, "left")) +
         (text(incident, "kind") == "drain" ? " still there\n" : " still at risk\n");
}

std::string refused(const Json& status) {
  const auto count = status.value("refused_connections", uint64_t{0});  // an older Limpet tells none
  return count == 0 ? "" : " (" + std::to_string(count) + " REFUSED, out of descriptors)";
}

// What its listeners count of connections by some kind, which an older Limpet does not. `did` what, and why.
std::string by_kind(const Json& status, const char* counts, const char* did) {
  uint64_t count = 0;
  std::string of_one, of_each;
  const Json listeners = status.value("listeners", Json::array());
  for (const Json& listener : listeners) {
    std::vector<std::pair<std::string, uint64_t>> kinds;
    const Json counted = listener.value(counts, Json::object());
    for (const auto& [kind, connections] : counted.items()) {
      kinds.emplace_back(kind, connections.get<uint64_t>());
      count += kinds.back().second;
    }
    of_one = count_words(kinds);
    if (!of_one.empty())
      of_each += (of_each.empty() ? "" : "; ") + conf::escaped(text(listener, "name")) + ": " + of_one;
  }
  return count == 0
             ? ""
             : " (" + std::to_string(count) + did + ": " + (listeners.size() == 1 ? of_one : of_each) + ")";
}

// What somebody has to do something about.
std::string certificate_words(const Json& certificate, int64_t now) {
  const int64_t left = certificate.at("not_after").get<int64_t>() - now;
  const std::string wrong = text(certificate, "wrong");
  std::string words;
  if (left <= 0) {
    words = "EXPIRED " + conf::duration_words(-left) + " ago";
  } else if (left < CertificateReport::kSoon) {
    words = "expires in " + conf::duration_words(left);
  }
  if (!wrong.empty())
    words += (words.empty() ? "" : "; ") + ("its file has changed, and is not used: " + wrong);
  return words;
}

std::string tls_files(const std::string& of, const Json& tls, int64_t now) {
  std::string lines;
  const auto add = [&](const std::string& what, const Json& named, const std::string& words) {
    if (!words.empty())
      lines += conf::escaped(of + ": " + what + " " + text(named, "file") + ": " + words) + '\n';
  };
  for (const Json& certificate : tls.at("certificates"))
    add("certificate", certificate, certificate_words(certificate, now));
  const Json authorities = tls.value("authorities", Json());
  if (authorities.is_null() || text(authorities, "wrong").empty()) return lines;
  add("authorities", authorities, "their file has changed, and is not used: " + text(authorities, "wrong"));
  return lines;
}

std::string all_tls_files(const Json& status, int64_t now) {
  const Json own = status.value("status_tls", Json());
  std::string lines = own.is_null() ? "" : tls_files("status", own, now);
  for (const auto& [kind, plural] : {std::pair{"listener", "listeners"}, {"pool", "pools"}}) {
    for (const Json& one : status.value(plural, Json::array())) {
      const Json tls = one.value("tls", Json());  // an older Limpet tells nothing of it
      if (!tls.is_null()) lines += tls_files(kind + (" " + text(one, "name")), tls, now);
    }
  }
  return lines;
}

}  // namespace

std::string status_table(const Json& status) {
  const auto now = status.at("now").get<int64_t>();
  std::string out = "limpet " + conf::escaped(text(status, "limpet")) + ", up " +
                    conf::duration_words(now - status.at("started").get<int64_t>()) + ", " +
                    conf::counted(number(status, "workers"), "worker") + ", " +
                    conf::counted(number(status, "connections"), "connection") + refused(status) +
                    by_kind(status, "refused", " REFUSED, over a listener's limits") +
                    by_kind(status, "http2_abuse", " CUT, for what they did over HTTP/2") + ", " +
                    conf::escaped(text(status, "file")) + " loaded " +
                    time_words(status.at("loaded").get<int64_t>()) +
                    (status.at("shutting_down").get<bool>() ? ", SHUTTING DOWN\n\n" : "\n\n");
  Table table({{"POOL"},
               {"STATE"},
               {"SESSIONS", Align::right},
               {"AT RISK", Align::right},
               {"RETURNED", Align::right},
               {"LOST", Align::right},
               {"REQUESTS", Align::right},
               {"FAILED", Align::right},
               {"P99", Align::right},
               {"WHY"}});
  for (const Json& pool : status.at("pools")) {
    table.add(row(text(pool, "name"), "", pool, why_pool(pool)));
    for (const Json& backend : pool.at("backends"))
      table.add(row("  " + text(backend, "name"), text(backend, "state"), backend, why(backend, now)));
  }
  out += table.text();
  std::string open = all_tls_files(status, now);
  for (const Json& incident : status.at("incidents")) {
    if (is_open(incident)) open += going_on(incident, now);
  }
  return open.empty() ? out : out + '\n' + open;
}

std::string incidents_table(const Json& incidents) {
  const Json& newest_first = incidents.at("incidents");  // and so they are shown
  if (newest_first.empty()) return "no incidents since Limpet started\n";
  Table table({{"ID", Align::right},
               {"OPENED"},
               {"LASTED", Align::right},
               {"BACKEND"},
               {"KIND"},
               {"END"},
               {"SESSIONS", Align::right},
               {"RETURNED", Align::right},
               {"JOINED", Align::right},
               {"LOST", Align::right},
               {"CARRIED", Align::right},
               {"RECOVERED", Align::right},
               {"ABANDONED", Align::right},
               {"ENDED", Align::right},
               {"OTHERWISE", Align::right},
               {"LEFT", Align::right},
               {"FAILED", Align::right},
               {"CAUSE"}});
  for (const Json& incident : newest_first) {
    const auto opened = incident.at("opened").get<int64_t>();
    std::vector<std::string> cells = {
        std::to_string(number(incident, "id")),
        time_words(opened),
        is_open(incident) ? "-" : conf::duration_words(incident.at("closed").get<int64_t>() - opened),
        where(incident),
        text(incident, "kind"),
        text(incident, "end")};
    cells.push_back(std::to_string(number(incident, "at_risk")));
    cells.push_back(std::to_string(number(incident.at("returned"), "at_risk")));
    cells.push_back(std::to_string(number(incident, "joined")));
    cells.push_back(lost_words(number(incident, "lost"), incident));
    for (const char* key : {"carried", "recovered", "abandoned", "ended_by_themselves", "gone_otherwise",
                            "left", "requests_failed"})
      cells.push_back(std::to_string(number(incident, key)));
    cells.push_back(cause(incident));
    table.add(std::move(cells));
  }
  return table.text();
}

std::string session_lines(const Json& found, int64_t now) {
  std::string out;
  for (const Json& session : found.at("sessions")) {
    const auto first = session.at("first_seen").get<int64_t>(), last = session.at("last_seen").get<int64_t>();
    const std::string home = text(session, "pool") + "/" + text(session, "backend");
    out += conf::escaped(home + " (" + text(session, "backend_state") + "): " + text(session, "why")) +
           "; first seen " + time_words(first) + " (" + conf::duration_words(now - first) +
           " ago), last seen " + conf::duration_words(now - last) + " ago, " +
           (session.at("returned").get<bool>() ? "returned" : "not returned yet") +
           (session.at("polls").get<bool>() ? ", polling\n" : "\n");
  }
  return out;
}

std::string drain_line(const Json& backend, int64_t now, size_t width) {
  const Json& drain = backend.at("drain");
  const uint64_t left = number(drain, "left");
  const uint64_t began = std::max(number(drain, "began_with"), left);
  constexpr size_t kBar = 24;
  const size_t of_none = drain.value("unknown", Json()).is_null() ? kBar : 0;
  const size_t done = began == 0 ? of_none : static_cast<size_t>((began - left) * kBar / began);
  const std::string bar = std::string(done, '#') + std::string(kBar - done, '.');
  return cut_to("[" + bar + "] " + conf::escaped(drain_words(drain, now)), width);
}

std::string waiting_line(const Json& backend, int64_t now, size_t width) {
  const std::string is = text(backend, "name") + " is " + text(backend, "state");
  return cut_to(conf::escaped(is + ": " + why(backend, now)), width);
}

}  // namespace limpet::status
