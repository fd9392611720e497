#include "src/http/grpc.h"

#include <doctest/doctest.h>

namespace limpet::http::grpc_test {

TEST_CASE("a call is known by its content type, and grpc-web is none") {
  for (const char* type :
       {"application/grpc", "Application/gRPC", "application/grpc+proto", "application/grpc; a=b"})
    CHECK(is_grpc(type));
  for (const char* type :
       {"", "application/grpc-web", "application/grpc-web+proto", "application/grpcx", "text/plain"})
    CHECK_FALSE(is_grpc(type));
}

TEST_CASE("how long a client waits is read in each unit") {
  using std::chrono::milliseconds;
  CHECK(grpc_timeout("2H") == milliseconds(7'200'000));
  CHECK(grpc_timeout("3M") == milliseconds(180'000));
  CHECK(grpc_timeout("4S") == milliseconds(4000));
  CHECK(grpc_timeout("5m") == milliseconds(5));
  CHECK(grpc_timeout("6000u") == milliseconds(6));
  CHECK(grpc_timeout("7000000n") == milliseconds(7));
  CHECK(grpc_timeout("99999999H") == milliseconds(int64_t{99'999'999} * 3'600'000));
  for (const char* wrong : {"", "S", "1", "123456789S", "-1S", "1.5S", "1s", "1 S"})
    CHECK_FALSE(grpc_timeout(wrong));
}

TEST_CASE("what Limpet answers itself is a head with a status of gRPC's and words") {
  std::string out;
  write_grpc_reply({.status = 503,
                    .what = "no server can be reached",
                    .request_id = "id",
                    .date = "now",
                    .retry_after = 5},
                   out);
  CHECK(out ==
        "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: 14\r\n"
        "grpc-message: 503: no server can be reached\r\nX-Request-Id: id\r\nRetry-After: 5\r\nDate: "
        "now\r\n\r\n");
}

}  // namespace limpet::http::grpc_test
