#include "src/status/endpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "conf/spelling.h"
#include "src/status/json.h"
#include "src/status/metrics.h"
#include "src/status/page.h"

namespace limpet::status {

namespace {

std::vector<std::string> order_names() {
  using enum health::Order;
  return {health::text(drain), health::text(undrain), health::text(maintenance), health::text(up)};
}

// Incidents in a report; what is streamed every second has those that the dashboard shows.
constexpr size_t kAll = SIZE_MAX, kStreamed = 100;

Answer ok(const Json& json) { return {200, "application/json", written(json)}; }

Answer from(const Control::Done& done) {
  if (!done.good) return failure(done.status, done.text);
  return ok({{"text", done.text}});
}

Answer wrong_method(const std::string& who_takes, std::string_view allowed) {
  Answer answer = failure(405, who_takes + std::string(allowed));
  answer.fields.emplace_back("Allow", allowed);
  return answer;
}

template <class Named>
std::vector<std::string> names_of(const std::vector<Named>& all) {
  std::vector<std::string> names;
  for (const Named& one : all) names.push_back(one.name);
  return names;
}

template <class Named>
const Named* by_name(const std::vector<Named>& all, const std::string& name) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const Named& one) { return one.name == name; });
  return found == all.end() ? nullptr : &*found;
}

// What a path names, in the report; or what is wrong with it.
struct Found {
  const PoolReport* pool = nullptr;
  const BackendReport* backend = nullptr;
  std::optional<Answer> wrong{};
};

Found find(const Report& report, const std::string& pool) {
  const PoolReport* const found = by_name(report.pools, pool);
  if (found == nullptr) return {.wrong = from(unknown("pool", pool, names_of(report.pools)))};
  return {.pool = found};
}

Found find(const Report& report, const std::string& pool, const std::string& backend) {
  Found found = find(report, pool);
  if (found.wrong) return found;
  found.backend = by_name(found.pool->backends, backend);
  if (found.backend == nullptr)
    found.wrong = from(unknown("backend", backend, names_of(found.pool->backends)));
  return found;
}

// A whole segment in braces stands for any text.
bool is_variable(std::string_view segment) { return segment.starts_with('{'); }

}  // namespace

struct Endpoint::Route {
  std::string_view method;
  std::string_view pattern;
  Answer (Endpoint::*handle)(const Given&);

  bool matches(const Path& path, std::vector<std::string>& values) const {
    const Path shape = *Path::parse(pattern);
    if (shape.segments.size() != path.segments.size()) return false;
    values.clear();
    for (size_t i = 0; i < path.segments.size(); ++i) {
      if (is_variable(shape.segments[i])) {
        values.push_back(path.segments[i]);
      } else if (shape.segments[i] != path.segments[i]) {
        return false;
      }
    }
    return true;
  }
};

const std::vector<Endpoint::Route>& Endpoint::routes() {
  static const std::vector<Route> kRoutes = {
      {"GET", "/", &Endpoint::page},
      {"GET", "/status", &Endpoint::status},
      {"GET", "/pools", &Endpoint::pools},
      {"GET", "/pools/{pool}", &Endpoint::pool},
      {"GET", "/pools/{pool}/backends/{backend}", &Endpoint::backend},
      {"POST", "/pools/{pool}/backends/{backend}/{order}", &Endpoint::order},
      {"POST", "/pools/{pool}/sessions/{session}/unbind", &Endpoint::unbind},
      {"POST", "/pools/{pool}/sessions/{session}/pin", &Endpoint::pin},
      {"GET", "/incidents", &Endpoint::incidents},
      {"GET", "/sessions/{session}", &Endpoint::session},
      {"GET", "/metrics", &Endpoint::metrics},
      {"GET", "/events", &Endpoint::events},
      {"GET", "/healthz", &Endpoint::health},
      {"GET", "/readyz", &Endpoint::readiness},
      {"POST", "/reload", &Endpoint::reload},
  };
  return kRoutes;
}

Endpoint::Endpoint(Control& control, std::string_view token)
    : control_(control), guard_(token), page_policy_(security_policy(dashboard())) {}

Answer Endpoint::answer(const Ask& ask) {
  if (ask.target == "*") {  // OPTIONS * is about the server as a whole
    if (std::optional<Answer> refusal = guard_.refuse(ask, false)) return std::move(*refusal);
    return wrong_method("this server takes ", "GET, HEAD, POST");
  }
  const std::optional<Path> path = Path::parse(ask.target);
  if (!path)
    return failure(400, "the path is not valid: a percent sign that no two hexadecimal digits follow");

  const std::string_view method = ask.method == "HEAD" ? "GET" : ask.method;
  std::vector<std::string> values;
  std::string_view allowed;
  for (const Route& route : routes()) {
    if (!route.matches(*path, values)) continue;
    if (route.method != method) {
      allowed = route.method == "GET" ? "GET, HEAD" : route.method;
      continue;
    }
    if (std::optional<Answer> refusal = guard_.refuse(ask, method != "GET")) return std::move(*refusal);
    return (this->*route.handle)({values, *path, ask});
  }
  if (std::optional<Answer> refusal = guard_.refuse(ask, false)) return std::move(*refusal);
  if (!allowed.empty()) return wrong_method("this path takes ", allowed);
  Json body = {{"error", "no such path"}, {"paths", Json::array()}};
  for (const Route& route : routes())
    body["paths"].push_back(std::string(route.method) + " " + std::string(route.pattern));
  return {404, "application/json", written(body)};
}

Answer Endpoint::page(const Given&) {
  return {200,
          "text/html; charset=utf-8",
          std::string(dashboard()),
          {{"Content-Security-Policy", page_policy_}, {"Referrer-Policy", "no-referrer"}}};
}

Answer Endpoint::status(const Given&) { return ok(to_json(control_.report(kAll))); }

Answer Endpoint::pools(const Given&) {
  return ok({{"pools", std::move(to_json(control_.report(0))["pools"])}});
}

Answer Endpoint::pool(const Given& given) {
  const Report report = control_.report(0);
  Found found = find(report, given.values[0]);
  return found.wrong ? std::move(*found.wrong) : ok(to_json(*found.pool));
}

Answer Endpoint::backend(const Given& given) {
  const Report report = control_.report(0);
  Found found = find(report, given.values[0], given.values[1]);
  return found.wrong ? std::move(*found.wrong) : ok(to_json(*found.backend));
}

Answer Endpoint::incidents(const Given&) {
  return ok({{"incidents", to_json(control_.report(kAll).incidents)}});
}

Answer Endpoint::session(const Given& given) {
  const std::vector<SessionReport> found = control_.find(given.values[0]);
  if (found.empty())
    return failure(404, "no pool knows this session: it never was, has ended, or lives by hash alone");
  Json sessions = Json::array();
  for (const SessionReport& session : found) sessions.push_back(to_json(session));
  return ok({{"sessions", std::move(sessions)}});
}

Answer Endpoint::metrics(const Given&) {
  return {200, "text/plain; version=0.0.4; charset=utf-8", status::metrics(control_.report(kAll))};
}

Answer Endpoint::events(const Given&) {
  Answer answer{200, "text/event-stream", "retry: 1000\n\n" + event()};
  answer.events = true;
  return answer;
}

std::string Endpoint::event() { return "data: " + written(to_json(control_.report(kStreamed))) + '\n'; }

Answer Endpoint::health(const Given&) { return ok({{"alive", true}}); }

Answer Endpoint::readiness(const Given&) {
  if (control_.ready()) return ok({{"ready", true}});
  const Report report = control_.report(0);
  std::string why = report.shutting_down ? "shutting down" : "";
  for (const PoolReport& pool : report.pools) {
    if (pool.takes_new_sessions() || !pool.listed) continue;
    why += (why.empty() ? "" : "; ") + std::string("no backend of ") + conf::in_quotes(pool.name) +
           " takes new sessions";
  }
  return {503, "application/json", written({{"ready", false}, {"error", why.empty() ? "not ready" : why}})};
}

Answer Endpoint::order(const Given& given) {
  const std::vector<std::string> names = order_names();
  const auto order = std::find(names.begin(), names.end(), given.values[2]);
  if (order == names.end())
    return failure(
        404, "no order " + conf::in_quotes(given.values[2]) + "; " + conf::hint(given.values[2], names, '"'));
  auto what = static_cast<health::Order>(order - names.begin());
  if (const std::string* const known_only = given.path.find("known_only")) {
    if (what != health::Order::drain) return failure(400, "known_only is said of a drain alone");
    if (*known_only != "true" && *known_only != "false")
      return failure(400, "known_only is true or false, and not " + conf::in_quotes(*known_only));
    if (*known_only == "true") what = health::Order::drain_known;
  }
  return from(control_.order(given.values[0], given.values[1], what, Guard::who(given.ask)));
}

Answer Endpoint::unbind(const Given& given) {
  return from(control_.unbind(given.values[0], given.values[1], Guard::who(given.ask)));
}

Answer Endpoint::pin(const Given& given) {
  const std::string* const backend = given.path.find("backend");
  if (backend == nullptr) return failure(400, "to which backend? ?backend=NAME says so");
  return from(control_.pin(given.values[0], given.values[1], *backend, Guard::who(given.ask)));
}

Answer Endpoint::reload(const Given& given) { return from(control_.reload(Guard::who(given.ask))); }

}  // namespace limpet::status
