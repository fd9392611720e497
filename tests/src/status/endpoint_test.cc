#include "src/status/endpoint.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/src/status/fake_control.h"

namespace limpet::status::endpoint_test {

using nlohmann::json;
using status::Answer;

struct Scene {
  explicit Scene(const std::string& token = "") : endpoint(control, token) {}

  Answer get(std::string_view target, std::string_view method = "GET") {
    return endpoint.answer(
        {.method = method, .target = target, .host = "127.0.0.1:9180", .peer = "127.0.0.1"});
  }
  Answer post(std::string_view target, std::string_view who = "alice") {
    return endpoint.answer({.method = "POST",
                            .target = target,
                            .host = "127.0.0.1:9180",
                            .on_behalf = who,
                            .peer = "127.0.0.1"});
  }
  json body(std::string_view target) { return json::parse(get(target).body); }

  test::FakeControl control;
  status::Endpoint endpoint;
};

bool has_field(const Answer& answer, std::string_view name, std::string_view part) {
  for (const auto& [key, value] : answer.fields) {
    if (key == name) return value.find(part) != std::string::npos;
  }
  return false;
}

TEST_CASE("the status is the whole report") {
  Scene scene;
  const json status = scene.body("/status");
  CHECK(status["version"] == 1);
  CHECK(status["limpet"] == "1.2.3");
  CHECK(status["pools"].size() == 2);
  CHECK(status["incidents"].size() == 4);
}

TEST_CASE("a pool and a backend are found by their names, whatever these hold") {
  Scene scene;
  CHECK(scene.body("/pools")["pools"].size() == 2);
  CHECK(scene.body("/pools/shop") == scene.body("/status")["pools"][0]);
  CHECK(scene.body("/pools/shop/backends/app-3") == scene.body("/status")["pools"][0]["backends"][2]);
  CHECK(scene.body("/pools/caf%C3%A9%2F1")["name"] == "caf\xc3\xa9/1");
  CHECK(scene.body("/pools/caf%C3%A9%2F1/backends/a%22b%5Cc%0Ad")["name"] == "a\"b\\c\nd");
}

TEST_CASE("an unknown name is answered 404 with the nearest one") {
  Scene scene;
  for (const char* target : {"/pools/shob", "/pools/shob/backends/app-1"}) {
    const Answer answer = scene.get(target);
    CHECK(answer.status == 404);
    CHECK(json::parse(answer.body)["error"] == "no pool \"shob\"; did you mean \"shop\"?");
  }
  const Answer answer = scene.get("/pools/shop/backends/ap-1");
  CHECK(answer.status == 404);
  CHECK(json::parse(answer.body)["error"] == "no backend \"ap-1\"; did you mean \"app-1\"?");
}

TEST_CASE("an unknown path is answered 404 with the paths that there are") {
  Scene scene;
  for (const char* target : {"/statuss", "/pools/a/b", "/pools/shop/backends/app-1/drain/now", "/status//"}) {
    const Answer answer = scene.get(target);
    CHECK_MESSAGE(answer.status == 404, std::string(target));
    const json body = json::parse(answer.body);
    CHECK(body["paths"].size() == 15);
    CHECK(std::find(body["paths"].begin(), body["paths"].end(), "GET /status") != body["paths"].end());
  }
}

TEST_CASE("a path that is no path is a bad request") {
  Scene scene;
  CHECK(scene.get("/pools/%zz").status == 400);
}

TEST_CASE("a wrong method is told the right one, and does nothing") {
  Scene scene;
  const Answer read = scene.get("/pools/shop/backends/app-1/drain");
  CHECK(read.status == 405);
  CHECK(has_field(read, "Allow", "POST"));
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"}) {
    const Answer answer = scene.get("/status", method);
    CHECK_MESSAGE(answer.status == 405, std::string(method));
    CHECK(has_field(answer, "Allow", "GET, HEAD"));
  }
  CHECK(scene.get("/reload", "OPTIONS").status == 405);
  const Answer server = scene.get("*", "OPTIONS");
  CHECK(server.status == 405);
  CHECK(has_field(server, "Allow", "GET, HEAD, POST"));
  CHECK(scene.control.asked().empty());
}

TEST_CASE("no answer lets another origin in") {
  Scene scene;
  for (const char* method : {"OPTIONS", "GET"}) {
    for (const auto& [name, value] : scene.get("/pools/shop/backends/app-1/drain", method).fields)
      CHECK(name.find("Access-Control") == std::string_view::npos);
  }
}

TEST_CASE("HEAD asks for what GET does") {
  Scene scene;
  CHECK(scene.get("/status", "HEAD").status == 200);
  CHECK(scene.get("/pools/shob", "HEAD").status == 404);
}

TEST_CASE("each order reaches the balancer with who gave it") {
  Scene scene;
  for (const char* order : {"drain", "undrain", "maintenance", "up"}) {
    const Answer answer = scene.post("/pools/shop/backends/app-1/" + std::string(order));
    CHECK(answer.status == 200);
    CHECK(json::parse(answer.body)["text"] == "it is so");
    CHECK(scene.control.asked().back() == std::string(order) + "|shop|app-1|alice from 127.0.0.1");
  }
  CHECK(scene.control.asked().size() == 4);
}

TEST_CASE("a drain may be told to wait for known sessions alone") {
  Scene scene;
  const std::string drain = "/pools/shop/backends/app-1/drain";
  CHECK(scene.post(drain + "?known_only=true").status == 200);
  CHECK(scene.control.asked().back() == "drain of known sessions|shop|app-1|alice from 127.0.0.1");
  CHECK(scene.post(drain + "?known_only=false").status == 200);
  CHECK(scene.control.asked().back() == "drain|shop|app-1|alice from 127.0.0.1");
  CHECK(scene.control.asked().size() == 2);
  const Answer unclear = scene.post(drain + "?known_only=yes");
  CHECK(unclear.status == 400);
  CHECK(json::parse(unclear.body)["error"] == "known_only is true or false, and not \"yes\"");
  CHECK(scene.post("/pools/shop/backends/app-1/maintenance?known_only=true").status == 400);
  CHECK(scene.control.asked().size() == 2);
}

TEST_CASE("an order that there is not, or for nobody, reaches nobody") {
  Scene scene;
  CHECK(scene.post("/pools/shop/backends/app-1/drian").status == 404);
  CHECK(scene.post("/pools/shop/backends/app-1/drian").body.find("did you mean \\\"drain\\\"?") !=
        std::string::npos);
  const Answer unknown = scene.post("/pools/shop/backends/app-9/drain");
  CHECK(unknown.status == 404);
  CHECK(json::parse(unknown.body)["error"] == "no backend \"app-9\"; did you mean \"app-1\"?");
  CHECK(scene.post("/pools/nope/backends/app-1/drain").status == 404);
  CHECK(scene.control.asked().empty());
}

TEST_CASE("what the balancer refuses is told with its words and status") {
  Scene scene;
  scene.control.answer_orders_with({.good = false, .status = 409, .text = "it is up: no drain is ordered"});
  const Answer answer = scene.post("/pools/shop/backends/app-1/undrain");
  CHECK(answer.status == 409);
  CHECK(json::parse(answer.body)["error"] == "it is up: no drain is ordered");
}

TEST_CASE("sessions are unbound and pinned by keys that hold anything") {
  Scene scene;
  CHECK(scene.post("/pools/shop/sessions/k%2Fe%00y/unbind").status == 200);
  CHECK(scene.control.asked().back() == std::string("unbind|shop|k/e\0y|alice from 127.0.0.1", 38));
  CHECK(scene.post("/pools/shop/sessions/key/pin?backend=app-2").status == 200);
  CHECK(scene.control.asked().back() == "pin|shop|key|app-2|alice from 127.0.0.1");
  CHECK(scene.post("/pools/shop/sessions/key/pin").status == 400);
  CHECK(scene.post("/pools/shop/sessions/key/pin?backend=app-9").status == 404);
  CHECK(scene.post("/pools/none/sessions/key/unbind").status == 404);
  CHECK(scene.control.asked().size() == 2);
}

TEST_CASE("a reload reaches the balancer") {
  Scene scene;
  CHECK(scene.post("/reload").status == 200);
  CHECK(scene.control.asked() == std::vector<std::string>{"reload|alice from 127.0.0.1"});
}

TEST_CASE("nothing changes for who may not") {
  Scene open, closed("secret");
  for (const char* target : {"/reload", "/pools/shop/backends/app-1/drain", "/pools/shop/sessions/k/unbind",
                             "/pools/shop/sessions/k/pin?backend=app-1"}) {
    CHECK(open.post(target, "").status == 403);
    CHECK(closed.post(target).status == 401);
  }
  CHECK(open.control.asked().empty());
  CHECK(closed.control.asked().empty());
  CHECK(closed.get("/status").status == 200);
}

TEST_CASE("a session is told where it lives, and one that nobody knows is not") {
  Scene scene;
  const json found = scene.body("/sessions/known%20key%2F%ff");
  REQUIRE(found["sessions"].size() == 1);
  CHECK(found["sessions"][0]["backend"] == "app-2");
  CHECK(found["sessions"][0]["backend_state"] == "draining");
  CHECK(found["sessions"][0]["why"] == "moved from app-1");
  CHECK(found["sessions"][0]["returned"] == true);
  CHECK(scene.get("/sessions/other").status == 404);
}

TEST_CASE("it is alive while it answers, and ready when the balancer says so") {
  Scene scene;
  CHECK(scene.get("/healthz").status == 200);
  CHECK(scene.get("/readyz").status == 200);
  scene.control.set_ready(false);
  CHECK(scene.get("/healthz").status == 200);
  status::Report report = test::made_up_report();
  for (auto& backend : report.pools[0].backends) backend.state = routing::BackendState::down;
  scene.control.set(report);
  const Answer answer = scene.get("/readyz");
  CHECK(answer.status == 503);
  CHECK(json::parse(answer.body)["error"] == "no backend of \"shop\" takes new sessions");
  report.shutting_down = true;
  scene.control.set(report);
  CHECK(json::parse(scene.get("/readyz").body)["error"].get<std::string>().starts_with("shutting down"));
}

TEST_CASE("an event is the report in one line of data") {
  Scene scene;
  const Answer answer = scene.get("/events");
  CHECK(answer.events);
  CHECK(answer.type == "text/event-stream");
  CHECK(answer.body == "retry: 1000\n\n" + scene.endpoint.event());
  const std::string event = scene.endpoint.event();
  REQUIRE(event.starts_with("data: "));
  REQUIRE(event.ends_with("\n\n"));
  const std::string data = event.substr(6, event.size() - 8);
  CHECK(data.find('\n') == std::string::npos);
  CHECK(json::parse(data) == scene.body("/status"));
}

TEST_CASE("an event has the newest hundred incidents, and how many there are") {
  Scene scene;
  status::Report report = test::made_up_report();
  report.incidents.resize(150, report.incidents[0]);
  report.incidents[99].id = 1099;
  report.incidents[100].id = 1100;
  report.kept_incidents = 150;
  scene.control.set(report);
  const std::string event = scene.endpoint.event();
  const json shown = json::parse(event.substr(6));
  REQUIRE(shown["incidents"].size() == 100);
  CHECK(shown["incidents"][99]["id"] == 1099);
  CHECK(shown["kept_incidents"] == 150);
  CHECK(scene.body("/status")["incidents"].size() == 150);
  CHECK(scene.body("/incidents")["incidents"].size() == 150);
}

TEST_CASE("the page runs nothing but what is in it, and is framed by nobody") {
  Scene scene;
  const Answer answer = scene.get("/");
  CHECK(answer.status == 200);
  CHECK(answer.type.starts_with("text/html"));
  for (const char* part : {"default-src 'none'", "script-src 'sha256-", "style-src 'sha256-",
                           "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"})
    CHECK_MESSAGE(has_field(answer, "Content-Security-Policy", part), std::string(part));
  CHECK_FALSE(has_field(answer, "Content-Security-Policy", "unsafe"));
  for (const char* outside : {"http://", "https://", "src=", "@import", "url(", "innerHTML", "document.write",
                              " style=", "onclick=", "eval("}) {
    if (std::string_view(outside) == "http://") continue;  // SVG's namespace is such a name
    CHECK_MESSAGE(answer.body.find(outside) == std::string::npos, std::string(outside));
  }
}

}  // namespace limpet::status::endpoint_test
