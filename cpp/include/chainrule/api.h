// CHAINRULE_API marks the symbols that a shared library exports. In a static library it is empty, so a shared library
// that links the static one does not export its symbols. On Windows, CMake's WINDOWS_EXPORT_ALL_SYMBOLS exports them.
#pragma once

#if defined(CHAINRULE_SHARED) && !defined(_WIN32)
#define CHAINRULE_API __attribute__((visibility("default")))
#else
#define CHAINRULE_API
#endif
