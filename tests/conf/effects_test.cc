// Secrets, paths beside the file, and settings that would have no effect.
#include "tests/conf/loading.h"

namespace limpet::conf::effects_test {

const std::string kKeyA(64, 'a'), kKeyB(64, 'b');

std::string secrets(const std::string& lines) { return "[secrets]\n" + lines + kBase; }

TEST_CASE("secrets come out as raw bytes") {
  const Secrets read = loaded(secrets("keys = [\"" + kKeyA + "\", \"00ff" + std::string(60, 'B') +
                                      "\"]\nhash_secret = \"" + kKeyB + "\""))
                           .secrets;
  CHECK(read.keys ==
        std::vector{std::string(32, '\xaa'), std::string("\x00\xff", 2) + std::string(30, '\xbb')});
  CHECK(read.hash_secret == std::string(32, '\xbb'));
  CHECK(read.key_file == "");
}

TEST_CASE("without secrets the key file lies beside the file") {
  CHECK(loaded(kBase, "limpet.toml").secrets.key_file == "limpet.keys");
  CHECK(loaded(kBase, "/etc/limpet/shop.toml").secrets.key_file == "/etc/limpet/shop.keys");
  CHECK(loaded(kBase, "conf.d/shop").secrets.key_file == "conf.d/shop.keys");
}

TEST_CASE("relative paths start at the file's folder") {
  const auto read = [](const std::string& path) {
    return loaded("[log]\naccess = \"" + path + "\"\n[secrets]\nkey_file = \"" + path + "\"" + kBase,
                  "/etc/limpet/limpet.toml");
  };
  CHECK(read("x/y").log.access == "/etc/limpet/x/y");
  CHECK(read("x/y").secrets.key_file == "/etc/limpet/x/y");
  CHECK(read("/var/y").log.access == "/var/y");
  CHECK(read("/var/y").secrets.key_file == "/var/y");
  CHECK(loaded("[log]\naccess = \"x\"" + kBase, "limpet.toml").log.access == "x");
}

TEST_CASE("stdout and off are no files") {
  CHECK(loaded("[log]\naccess = \"stdout\"" + kBase, "/etc/limpet.toml").log.access == "stdout");
  CHECK(loaded("[log]\naccess = \"off\"" + kBase, "/etc/limpet.toml").log.access == "off");
}

TEST_CASE("keys and the hash secret are given together, and exclude the key file") {
  const std::string together =
      ": is missing, accepted: `keys` and `hash_secret` together, or neither, for both to be in `key_file`";
  const std::string keys = "keys = [\"" + kKeyA + "\"]\n", hash_secret = "hash_secret = \"" + kKeyB + "\"\n";
  CHECK(faults(secrets(keys)) == "f:1:1: secrets.hash_secret" + together);
  CHECK(faults(secrets(hash_secret)) == "f:1:1: secrets.keys" + together);
  CHECK(faults(secrets(keys + hash_secret + "key_file = \"x\"")) ==
        "f:4:12: secrets.key_file: has no effect beside `keys` and `hash_secret`, accepted: either it or "
        "these two");
  CHECK(faults(secrets("key_file = \"\"")) ==
        "f:2:12: secrets.key_file: \"\" is empty, accepted: a file's path, relative to this file's folder or "
        "absolute");
}

TEST_CASE("there is at least one key and at most eight, and no key twice") {
  const auto keys = [](size_t count) {
    std::string list;
    for (size_t i = 0; i < count; ++i)
      list += "\"" + std::string(63, '0') + static_cast<char>('0' + i) + "\", ";
    return faults(secrets("keys = [" + list + "]\nhash_secret = \"" + kKeyB + "\""));
  };
  CHECK(keys(0) == "f:2:8: secrets.keys: is empty, accepted: 1 to 8 keys");
  CHECK(keys(8) == "");
  CHECK(keys(9) ==
        "f:2:8: secrets.keys: has too many items, accepted: a list of at most 8, each 64 hexadecimal digits, "
        "as from `openssl rand "
        "-hex 32`");
  CHECK(faults(secrets("keys = [\"" + kKeyA + "\", \"" + std::string(64, 'A') + "\"]\nhash_secret = \"" +
                       kKeyB + "\"")) ==
        "f:2:77: secrets.keys[1]: is the same as secrets.keys[0] in line 2, accepted: each key once");
}

TEST_CASE("a secret that is none is told without being shown") {
  const std::string accepted = ", accepted: 64 hexadecimal digits, as from `openssl rand -hex 32`";
  const std::string hash_secret = "\nhash_secret = \"" + kKeyB + "\"";
  const auto key = [&](const std::string& value) {
    return faults(secrets("keys = [" + value + "]" + hash_secret));
  };
  const std::string none = "f:2:9: secrets.keys[0]: is not 32 bytes in hexadecimal" + accepted;
  CHECK(key("\"" + std::string(63, 'c') + "\"") == none);
  CHECK(key("\"" + std::string(65, 'c') + "\"") == none);
  CHECK(key("\"" + std::string(63, 'c') + "g\"") == none);
  CHECK(key("\"\"") == none);
  CHECK(key("7777777") == "f:2:9: secrets.keys[0]: is an integer" + accepted);
  CHECK(faults(secrets("keys = \"" + kKeyA + "\"" + hash_secret)) ==
        "f:2:8: secrets.keys: is a string, accepted: a list of at most 8, each 64 hexadecimal digits, as "
        "from `openssl rand -hex 32`");
}

TEST_CASE("no fault of a file shows a secret, wherever it is broken") {
  const std::string secret = "f00dfacecafe123456789";
  const std::string text = "[secrets]\nkeys = [\"" + secret + "\"]\nhash_secret = \"" + secret +
                           "\"\n[status]\ntoken = \"" + secret + "\"\n";
  for (size_t i = 0; i < text.size(); ++i) {
    for (const char put : std::string("\"'=[]#\n x0")) {
      std::string broken = text;
      broken[i] = put;
      const std::string told = faults(broken);
      CAPTURE(broken);
      CAPTURE(told);
      REQUIRE(told != "");
      REQUIRE(told.find("facecafe") == std::string::npos);
    }
  }
}

std::string in_pool(const std::string& lines) {
  const std::string name = "name = \"app\"\n";
  std::string text = kBase;
  return text.insert(text.find(name) + name.size(), lines + "\n");
}

TEST_CASE("a pool whose backends speak HTTP/2 does not send the PROXY protocol") {
  CHECK(loaded(in_pool("protocol = \"h2\"")).pools[0].protocol == Protocol::http2);
  CHECK(loaded(in_pool("protocol = \"http/1.1\"\nsend_proxy = 2")).pools[0].send_proxy == 2);
  CHECK(faults(in_pool("protocol = \"h2\"\nsend_proxy = 2")) ==
        "f:7:14: pool[0].send_proxy: does not go with protocol = \"h2\", accepted: one of the two");
}

TEST_CASE("a target's limit above the head's has no effect") {
  CHECK(faults("[limits]\nhead = \"4KiB\"\ntarget = \"5KiB\"" + kBase) ==
        "f:3:10: limits.target: has no effect above `limits.head`, which counts the target too, accepted: at "
        "most that");
  CHECK(faults("[limits]\nhead = \"4KiB\"\ntarget = \"4KiB\"" + kBase) == "");
  CHECK(faults("[limits]\nhead = true\ntarget = \"64KiB\"" + kBase).find("no effect") == std::string::npos);
  CHECK(faults("[limits]\nhead = \"4KiB\"" + kBase) == "");  // the default target is nobody's mistake
}

TEST_CASE("an access log that is off has no format") {
  CHECK(faults("[log]\naccess = \"off\"\naccess_format = \"json\"" + kBase) ==
        "f:3:17: log.access_format: has no effect while `log.access` is \"off\", accepted: only with an "
        "access log");
  CHECK(faults("[log]\naccess = \"off\"\naccess_format = 3" + kBase) ==
        "f:3:17: log.access_format: is an integer, accepted: \"json\", \"combined\"");
}

}  // namespace limpet::conf::effects_test
