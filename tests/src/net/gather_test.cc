#include "src/net/gather.h"

#include <doctest/doctest.h>

#include <cstring>
#include <deque>
#include <string>

#include "tests/routing/random_inputs.h"
#include "tests/support/gathered.h"

namespace limpet::net::gather_test {

using test::text_of;

TEST_CASE("text and bytes leave in the order they were added") {
  Gather gather;
  const std::string body = "body";
  gather.text("head ");
  gather.bytes(body);
  gather.text(" tail");
  CHECK(text_of(gather) == "head body tail");
  CHECK(gather.size() == 14);
  REQUIRE(gather.parts().size() == 3);
  CHECK(gather.parts()[1].iov_base == body.data());
}

TEST_CASE("text is a copy, and what is made in a row is one part") {
  Gather gather;
  std::string made = "one ";
  gather.text(made);
  made = "two ";
  gather.text(made);
  std::memcpy(gather.room(100), "three", 5);
  gather.wrote(gather.room(0) + 5);
  CHECK(text_of(gather) == "one two three");
  CHECK(gather.parts().size() == 1);
}

TEST_CASE("room that is not used leaves nothing") {
  Gather gather;
  gather.wrote(gather.room(1000));
  CHECK(gather.empty());
  CHECK(gather.size() == 0);
  char* const end = static_cast<char*>(std::memset(gather.room(1000), 'x', 1000)) + 3;
  gather.wrote(end);
  gather.text("y");
  CHECK(text_of(gather) == "xxxy");
}

TEST_CASE("nothing is no part") {
  Gather gather;
  gather.text({});
  gather.bytes({});
  gather.text("");
  CHECK(gather.empty());
  CHECK(gather.parts().empty());
}

TEST_CASE("what was cleared is gone, and its memory is used again") {
  Gather gather;
  gather.text(std::string(1000, 'x'));
  const void* const memory = gather.parts()[0].iov_base;
  gather.bytes("y");
  gather.clear();
  CHECK(gather.empty());
  CHECK(gather.size() == 0);
  CHECK(text_of(gather) == "");
  gather.text(std::string(1000, 'z'));
  CHECK(gather.parts()[0].iov_base == memory);
  CHECK(text_of(gather) == std::string(1000, 'z'));
}

TEST_CASE("any number of parts of any size is what was added") {
  LIMPET_RANDOM_INPUTS(511);
  Gather gather;
  for (int round = 0; round < 20; ++round) {
    gather.clear();
    std::string expected;
    std::deque<std::string> borrowed;
    const size_t most = round % 2 == 0 ? 20 : 5000;
    for (int i = 0; i < 2000; ++i) {
      const std::string piece = inputs.bytes(inputs.below(inputs.one_in(50) ? most : 20));
      expected += piece;
      switch (inputs.below(3)) {
        case 0:
          gather.text(piece);
          break;
        case 1:
          gather.bytes(borrowed.emplace_back(piece));
          break;
        default: {
          char* const room = gather.room(piece.size() + inputs.below(100));
          std::copy(piece.begin(), piece.end(), room);
          gather.wrote(room + piece.size());
        }
      }
    }
    REQUIRE(gather.size() == expected.size());
    REQUIRE(text_of(gather) == expected);
  }
}

}  // namespace limpet::net::gather_test
