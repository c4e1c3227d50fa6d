// What a shared library of chainrule shows. With a static one the mark is empty, and nothing of it is shown by a
// library that it is linked into. Windows exports by WINDOWS_EXPORT_ALL_SYMBOLS.
#pragma once

#if defined(CHAINRULE_SHARED) && !defined(_WIN32)
#define CHAINRULE_API __attribute__((visibility("default")))
#else
#define CHAINRULE_API
#endif
