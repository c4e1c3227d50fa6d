#include "abi/handles.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <system_error>

#include "chainrule/files.h"
#include "chainrule/training.h"

namespace chainrule {
namespace {

thread_local char last_error[1024];  // not a std::string, because storing an error must not allocate

int store_error(const char* text, int status) {
  std::size_t size = std::min(std::strlen(text), sizeof last_error - 1);
  while (size > 0 && (text[size] & 0xC0) == 0x80) --size;  // do not split a UTF-8 character
  std::copy_n(text, size, last_error);
  last_error[size] = '\0';
  return status;
}

}  // namespace

int status_of(const std::exception_ptr& error) noexcept {
  try {
    std::rethrow_exception(error);
  } catch (const std::bad_alloc&) {
    return store_error("out of memory", CHAINRULE_OUT_OF_MEMORY);
  } catch (const FileError& e) {
    return store_error(e.what(), CHAINRULE_INVALID_FILE);
  } catch (const DivergenceError& e) {
    return store_error(e.what(), CHAINRULE_DIVERGED);
  } catch (const std::system_error& e) {
    return store_error(e.what(), CHAINRULE_SYSTEM_ERROR);
  } catch (const std::runtime_error& e) {
    return store_error(e.what(), CHAINRULE_BUSY);
  } catch (const std::exception& e) {
    return store_error(e.what(), CHAINRULE_INVALID_ARGUMENT);
  }
}

std::filesystem::path path_of(std::string_view utf8) {
  return {reinterpret_cast<const char8_t*>(utf8.data()), reinterpret_cast<const char8_t*>(utf8.data()) + utf8.size()};
}

char* new_text(std::string_view text) {
  char* copy = new char[text.size() + 1];
  std::copy(text.begin(), text.end(), copy);
  copy[text.size()] = '\0';
  return copy;
}

}  // namespace chainrule

int chainrule_abi_version(void) { return CHAINRULE_ABI_VERSION; }

const char* chainrule_version(void) { return CHAINRULE_VERSION; }

const char* chainrule_error(void) { return chainrule::last_error; }

void chainrule_text_free(char* text) { delete[] text; }
