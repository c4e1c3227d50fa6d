// True if a sanitizer replaces functions of the C library.
#pragma once

#ifdef __has_feature  // clang
#define CHAINRULE_SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CHAINRULE_SANITIZED 1
#else
#define CHAINRULE_SANITIZED 0
#endif
