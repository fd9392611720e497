// Whose turn it is among a name's addresses, and what is told where none of them can be dialled.
#include "src/net/dial.h"

#include <doctest/doctest.h>

#include <cerrno>
#include <vector>

namespace limpet::net::dial_test {

struct Dialled {
  std::vector<unsigned> order;
  int error = 0;
};

// Dials addresses that all fail at once, each with its own error; 0: there is no such address any more.
Dialled dial_all(const std::vector<int>& errors, unsigned first = 0, int before = 0) {
  Turns turns;
  turns.start_with(first);
  turns.begin(errors.size());
  Dialled dialled{{}, before};
  const StreamPtr stream = turns.dial_next(dialled.error, [&](unsigned index, int& error) {
    dialled.order.push_back(index);
    error = errors[index];
    return StreamPtr();
  });
  CHECK(stream == nullptr);
  CHECK_FALSE(turns.has_more());
  return dialled;
}

TEST_CASE("each address has one turn, the one first that connected last") {
  CHECK(dial_all({-1, -1, -1}).order == std::vector<unsigned>{0, 1, 2});
  CHECK(dial_all({-1, -1, -1}, 1).order == std::vector<unsigned>{1, 2, 0});
  CHECK(dial_all({-1, -1}, 5).order == std::vector<unsigned>{1, 0});  // there were more
  CHECK(dial_all({}).order.empty());
}

TEST_CASE("the last address' error is told, unless one could not be tried for want of something") {
  CHECK(dial_all({-ECONNREFUSED, -ENOENT}).error == -ENOENT);
  CHECK(dial_all({-EMFILE, -ECONNREFUSED}).error == -EMFILE);
  CHECK(dial_all({-ECONNREFUSED}, 0, -ENOBUFS).error == -ENOBUFS);
  CHECK(dial_all({-ECONNREFUSED, 0}).error == -ECONNREFUSED);
  CHECK(dial_all({0}).error == 0);
  CHECK(dial_all({}, 0, -ETIMEDOUT).error == -ETIMEDOUT);
}

}  // namespace limpet::net::dial_test
