// The GIL. A thread that asks for it while the interpreter ends gets none: before Python 3.14 it is made to exit there,
// which would unwind the core's frames and end the process; so it waits for the end, as it does since.
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

// Whether this thread is the one that ends the interpreter, from within a destructor, say: it alone still gets the GIL.
inline thread_local bool ends_the_interpreter = false;

template <class Function>
auto or_wait_for_the_end(Function function) {
  try {
    return function();
  } catch (...) {
    while (std::current_exception() == nullptr)  // not C++'s: the thread is made to exit
      std::this_thread::sleep_for(std::chrono::hours(1));
    throw;
  }
}

// Has it, in any thread.
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

// What a Python function returns, one of NumPy's too: all of them give the GIL away for a while and take it again.
template <class... Arguments>
py::object call(py::handle function, Arguments&&... arguments) {
  const py::tuple given = py::make_tuple(std::forward<Arguments>(arguments)...);
  PyObject* result = or_wait_for_the_end([&] { return PyObject_CallObject(function.ptr(), given.ptr()); });
  if (result == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

// Signal handlers run, and what they raise is thrown.
inline void check_signals() {
  const WithGil gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

// Gives it to other threads while the core computes; polls for signals.
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
