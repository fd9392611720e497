// How long a line of the access log takes: by AccessFormatter, and as a JSON library would make it.
#include "src/access_format.h"

#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

namespace {

using limpet::AccessFormatter;
using limpet::AccessRecord;

template <typename Line>
void measure(const char* name, Line line) {
  constexpr int kLines = 300'000;
  size_t bytes = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kLines; i++) bytes += line();
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  std::printf("%-22s %6.0f ns a line of %zu bytes\n", name, took.count() / kLines, bytes / kLines);
}

size_t by_library(const AccessRecord& record) {
  nlohmann::ordered_json line;
  line["time"] = "2025-02-01T00:00:00.123Z";
  line["client"] = record.client;
  line["listener"] = record.listener;
  line["method"] = record.method;
  line["target"] = record.target;
  line["host"] = record.host;
  line["protocol"] = record.protocol;
  line["status"] = record.status;
  line["bytes_in"] = record.bytes_in;
  line["bytes_out"] = record.bytes_out;
  line["queued_ms"] = nullptr;
  line["connect_ms"] = nullptr;
  line["head_ms"] = static_cast<double>(record.head_us) / 1000;
  line["total_ms"] = static_cast<double>(record.total_us) / 1000;
  line["pool"] = record.pool;
  line["backend"] = record.backend;
  line["affinity"] = record.affinity;
  line["reason"] = record.reason;
  line["retries"] = record.retries;
  line["request_id"] = record.request_id;
  line["trace_id"] = nullptr;
  line["end"] = record.end;
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace).size();
}

}  // namespace

int main() {
  AccessRecord record{.time_us = 1'738'368'000'123'456,
                      .client = "192.0.2.7",
                      .listener = "web",
                      .method = "GET",
                      .target = "/shop/cart/items?page=2&sort=price",
                      .host = "shop.example.com",
                      .protocol = "HTTP/1.1",
                      .referer = "https://shop.example.com/shop/cart",
                      .user_agent = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
                      .status = 200,
                      .bytes_in = 0,
                      .bytes_out = 5120,
                      .connect_us = -1,
                      .head_us = 1234,
                      .total_us = 1501,
                      .pool = "shop",
                      .backend = "shop-1",
                      .affinity = "cookie",
                      .reason = "token",
                      .retries = 0,
                      .request_id = "9f86d081884c7d659a2feaa0c55ad015",
                      .trace_id = {},
                      .end = "ok"};
  const std::unique_ptr<char[]> room(new char[AccessFormatter::most_bytes(record)]);
  const auto by_formatter = [&](limpet::conf::AccessFormat format) {
    return [&, formatter = AccessFormatter(format)]() mutable {
      record.time_us += 50;
      return static_cast<size_t>(formatter.write(record, room.get()) - room.get());
    };
  };
  measure("JSON", by_formatter(limpet::conf::AccessFormat::json));
  measure("combined", by_formatter(limpet::conf::AccessFormat::combined));
  measure("JSON by nlohmann-json", [&] { return by_library(record); });
}
