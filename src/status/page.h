// The dashboard: one page, embedded in the program, that needs nothing from anywhere else.
#pragma once

#include <string>
#include <string_view>

namespace limpet::status {

std::string_view dashboard();  // dashboard.html

// The Content-Security-Policy under which a page runs its own <script> and <style>, by their hashes (CSP
// Level 3, section 2.3.1), may talk to where it came from, and nothing else.
std::string security_policy(std::string_view page);

}  // namespace limpet::status
