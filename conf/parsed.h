// What reading a text gives: a value, or what is wrong with the text.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace limpet::conf {

// What is wrong is the end of a sentence that begins with the text, "has no port", and does not repeat the
// text.
template <class T>
class Parsed {
 public:
  Parsed(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  static Parsed wrong(std::string what) { return Parsed(std::in_place_index<1>, std::move(what)); }

  T* value() { return std::get_if<0>(&held_); }
  const std::string& what() const { return std::get<1>(held_); }

 private:
  Parsed(std::in_place_index_t<1> index, std::string what) : held_(index, std::move(what)) {}
  std::variant<T, std::string> held_;
};

}  // namespace limpet::conf
