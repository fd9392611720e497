// Paths as they are matched: of several spellings of one path the normal one (RFC 3986, section 6.2.2).
// Unreserved characters are decoded ("%61" is "a"), then slashes in a row are one, then "." and ".." segments
// are gone. A segment's parameters (";x") do not make it another one: "..;x" is "..", as servlet containers
// read it. "%2f", "%5c" and "%00" stay as they are, for servers differ; see is_ambiguous().
//
// For matching alone: what is forwarded are the client's bytes.
#pragma once

#include <string>
#include <string_view>

namespace limpet::conf {

// The path of a target in origin-form, without its query, as it stands.
constexpr std::string_view path_of(std::string_view target) { return target.substr(0, target.find('?')); }

// The same in its normal form. `room` holds it where it is not a part of the target.
std::string_view normal_path(std::string_view target, std::string& room);

// Its path holds an encoded slash, backslash or NUL, or a raw backslash: no two servers read that alike.
bool is_ambiguous(std::string_view target);

}  // namespace limpet::conf
