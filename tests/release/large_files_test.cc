// What a file costs to load grows as the file does.
#include "tests/conf/loading.h"
#include "tests/support/work.h"

namespace limpet::conf::large_files_test {

std::string number(size_t i) { return std::to_string(i); }

std::string pool(size_t i, const std::string& name, const std::string& lines = "") {
  return "[[pool]]\nname = \"" + name + "\"\n" + lines +
         "[[pool.backend]]\nname = \"b\"\naddress = \"h:" + number(i + 1) + "\"\n";
}

const std::string kListener = "[[listener]]\naddress = \"127.0.0.1:80\"\n";

std::string listener_of_each(size_t i) {
  const std::string n = number(i);
  return "[[listener]]\nname = \"l" + n + "\"\naddress = \"127.0.0.1:" + number(i + 1) +
         "\"\n[[route]]\nlistener = \"l" + n + "\"\npool = \"p" + n + "\"\n" + pool(i, "p" + n);
}

std::string path_of_each(size_t i) {
  const std::string n = number(i);
  return "[[route]]\npath = \"/" + n + "\"\npool = \"p" + n + "\"\n" + pool(i, "p" + n);
}

std::string cookie_of_all(size_t i) {
  const std::string n = number(i);
  return "[[route]]\nhost = \"h" + n + ".example.com\"\npool = \"p" + n + "\"\n" +
         pool(i, "p" + n, "affinity = [\"cookie\"]\ncookie.name = \"sid\"\n");
}

std::string backend(size_t i) {
  return "[[pool.backend]]\nname = \"b" + number(i) + "\"\naddress = \"h:" + number(i + 1) +
         "\"\nbackup = \"b" + number(i ^ 1) + "\"\n";
}

std::string host(size_t i) {
  return "[[route]]\nhost = \"h" + number(i) + ".example.com\"\npool = \"app\"\n";
}

std::string twice_the_same(size_t i) { return "[[route]]\npool = \"p\"\n" + pool(i, "p"); }

std::string misspelt_key(size_t i) { return "[[pool.backend]]\naddres = \"h:" + number(i + 1) + "\"\n"; }

std::string misspelt_pool(size_t i) {
  const std::string n = number(i);
  return "[[route]]\nhost = \"h" + n + ".example.com\"\npool = \"x" + n + "\"\n" + pool(i, "p" + n);
}

std::string misspelt_backup(size_t i) {
  return "[[pool.backend]]\nname = \"b" + number(i) + "\"\naddress = \"h:" + number(i + 1) +
         "\"\nbackup = \"x" + number(i) + "\"\n";
}

std::string repeated(const std::string& first, std::string (*row)(size_t), size_t rows) {
  std::string out = first;
  for (size_t i = 0; i < rows; ++i) out += row(i);
  return out;
}

TEST_CASE("a file with eight times the rows takes about eight times the work, whatever it has many of") {
  struct Kind {
    std::string of, first;
    std::string (*row)(size_t);
  };
  const std::string one_pool = kListener + "[[pool]]\nname = \"app\"\nstorage = \"backup\"\n";
  const Kind kinds[] = {{"pools with a listener each", "", listener_of_each},
                        {"pools with a path each", kListener, path_of_each},
                        {"pools that share a cookie's name", kListener, cookie_of_all},
                        {"backends of a pool", one_pool, backend},
                        {"routes to a pool", kBase, host},
                        {"routes and pools that repeat", kListener, twice_the_same},
                        {"keys that are misspelt", one_pool, misspelt_key},
                        {"pools that are misspelt in routes", kListener, misspelt_pool},
                        {"backups that are misspelt", one_pool, misspelt_backup}};
  for (const Kind& kind : kinds) {
    CAPTURE(kind.of);
    const std::string few = repeated(kind.first, kind.row, kFewRows),
                      many = repeated(kind.first, kind.row, kManyRows);
    CHECK(work_of([&] { load_text(many, "f"); }) < kMostGrowth * work_of([&] { load_text(few, "f"); }));
  }
}

TEST_CASE("a hundred rows more of what a file has many of are no fault") {
  CHECK(faults(repeated("", listener_of_each, 100)) == "");
  CHECK(faults(repeated(kListener, path_of_each, 100)) == "");
  CHECK(faults(repeated(kListener, cookie_of_all, 100)) == "");
}

}  // namespace limpet::conf::large_files_test
