// The GIL. A thread that requests it while the interpreter ends does not get it: before Python 3.14 it is forced to
// exit, which would unwind the core's frames and end the process; so it waits for the end, as in later versions.
#pragma once

#include <pybind11/pybind11.h>

#include <chrono>
#include <exception>
#include <optional>
#include <thread>
#include <utility>

#include "core/poll.h"

namespace chainrule::python {

namespace py = pybind11;

inline bool is_finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing();
#else
  return _Py_IsFinalizing();
#endif
}

// True in the thread that ends the interpreter, in a destructor for example: only this one still gets the GIL.
inline thread_local bool ends_the_interpreter = false;

template <class Function>
auto or_wait_for_the_end(Function function) {
  try {
    return function();
  } catch (...) {
    while (std::current_exception() == nullptr)  // not a C++ exception: the thread is forced to exit
      std::this_thread::sleep_for(std::chrono::hours(1));
    throw;
  }
}

// Holds the GIL, in any thread.
class WithGil {
 public:
  WithGil() {
    while (!ends_the_interpreter && (!Py_IsInitialized() || is_finalizing()))
      std::this_thread::sleep_for(std::chrono::hours(1));
    or_wait_for_the_end([this] { gil_.emplace(); });
  }

 private:
  std::optional<py::gil_scoped_acquire> gil_;
};

// Calls a Python function. All of them, NumPy's too, release the GIL for a while and take it again.
template <class... Arguments>
py::object call(py::handle function, Arguments&&... arguments) {
  const py::tuple given = py::make_tuple(std::forward<Arguments>(arguments)...);
  PyObject* result = or_wait_for_the_end([&] { return PyObject_CallObject(function.ptr(), given.ptr()); });
  if (result == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

// Runs signal handlers, and throws what they raise.
inline void check_signals() {
  const WithGil gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

// Releases the GIL while the core computes; polls for signals.
class WithoutGil {
 public:
  WithoutGil() : polling_(check_signals, poll_seconds) {
    ends_the_interpreter = is_finalizing();
    thread_ = PyEval_SaveThread();
  }
  ~WithoutGil() {
    or_wait_for_the_end([this] { PyEval_RestoreThread(thread_); });
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  Polling polling_;
  PyThreadState* thread_;
};

}  // namespace chainrule::python
