// Holding and releasing the GIL. A thread that requests the GIL while the interpreter ends does not get it. Before
// Python 3.14 such a thread is forced to exit, which would unwind the core's frames and end the process. So here the
// thread waits for the end of the process instead, as in later versions.
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

// True in the thread that ends the interpreter, which may run destructors. Only this thread still gets the GIL.
inline thread_local bool ends_the_interpreter = false;

// Calls a function. If the interpreter forces the thread to exit, waits for the end of the process instead.
template <class Function>
auto call_or_wait_for_end(Function function) {
  try {
    return function();
  } catch (...) {
    while (std::current_exception() == nullptr)  // null means a forced exit of the thread, not a C++ exception
      std::this_thread::sleep_for(std::chrono::hours(1));
    throw;
  }
}

// Holds the GIL; works in any thread.
class WithGil {
 public:
  WithGil() {
    while (!ends_the_interpreter && (!Py_IsInitialized() || is_finalizing()))
      std::this_thread::sleep_for(std::chrono::hours(1));
    call_or_wait_for_end([this] { gil_.emplace(); });
  }

 private:
  std::optional<py::gil_scoped_acquire> gil_;
};

// Calls a Python function. Any Python function, including those of NumPy, may release the GIL and take it again.
template <class... Arguments>
py::object call(py::handle function, Arguments&&... arguments) {
  const py::tuple given = py::make_tuple(std::forward<Arguments>(arguments)...);
  PyObject* result = call_or_wait_for_end([&] { return PyObject_CallObject(function.ptr(), given.ptr()); });
  if (result == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(result);
}

// Runs Python's signal handlers and throws the exceptions that they raise.
inline void check_signals() {
  const WithGil gil;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

// Releases the GIL while the core computes, and polls for signals.
class WithoutGil {
 public:
  WithoutGil() : polling_(check_signals, poll_seconds) {
    ends_the_interpreter = is_finalizing();
    thread_ = PyEval_SaveThread();
  }
  ~WithoutGil() {
    call_or_wait_for_end([this] { PyEval_RestoreThread(thread_); });
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  Polling polling_;
  PyThreadState* thread_;
};

}  // namespace chainrule::python
