// To be preloaded: connections of HTTP/2 to servers begin with nearly all numbers of streams used up, which
// takes a thousand million requests otherwise. So many are left as the environment says in $STREAMS_LEFT.
#include <dlfcn.h>
#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <cstdlib>

extern "C" int nghttp2_session_client_new2(nghttp2_session** session,
                                           const nghttp2_session_callbacks* callbacks, void* user,
                                           const nghttp2_option* option) {
  using Function = int (*)(nghttp2_session**, const nghttp2_session_callbacks*, void*, const nghttp2_option*);
  static const auto make = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "nghttp2_session_client_new2"));
  const int status = make(session, callbacks, user, option);
  const int32_t left = 2 * std::atoi(std::getenv("STREAMS_LEFT"));
  return status != 0 ? status : nghttp2_session_set_next_stream_id(*session, INT32_MAX - left + 2);
}
