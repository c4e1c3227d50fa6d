// The C interface, for programs in C and in other languages. Link the library chainrule_c; it exports only these
// functions.
//
// Functions that can fail return a status, which is CHAINRULE_OK or says what kind of error occurred; chainrule_error()
// then describes the error. After an error nothing has changed, unless a fit had already begun. Pointers to results are
// set only on success. Several threads may use one network at the same time, except to train it or to free it. Strings
// are UTF-8 and end with a zero byte.
//
// Matrices are row-major. A stride is the number of elements from one row to the next; 0 means that the rows follow
// each other without gaps. threads = 0 chooses the number of threads as in C++ and Python: OMP_NUM_THREADS, or the
// number of cores.
#pragma once

#include <stdint.h>

#if defined(_WIN32)
#if defined(CHAINRULE_C_BUILD)
#define CHAINRULE_C_API __declspec(dllexport)
#else
#define CHAINRULE_C_API __declspec(dllimport)
#endif
#else
#define CHAINRULE_C_API __attribute__((visibility("default")))
#endif

#if defined(__cplusplus)
extern "C" {
#endif

// Increased when a function or struct changes so that compiled programs no longer work with it; part of the name of the
// shared library. New functions do not change it.
#define CHAINRULE_ABI_VERSION 1

CHAINRULE_C_API int chainrule_abi_version(void);      // CHAINRULE_ABI_VERSION of the library in use
CHAINRULE_C_API const char* chainrule_version(void);  // the release, such as "0.1.0"

enum {
  CHAINRULE_OK = 0,
  CHAINRULE_INVALID_ARGUMENT = 1,
  CHAINRULE_INVALID_FILE = 2,  // the file is not a model, is damaged, or has a later format
  CHAINRULE_SYSTEM_ERROR = 3,  // a file cannot be read or written
  CHAINRULE_OUT_OF_MEMORY = 4,
  CHAINRULE_DIVERGED = 5,  // during a fit: the network keeps its last finite parameters
  CHAINRULE_BUSY = 6       // another call is training this network
};

// The last error of this thread: at most 1023 bytes, empty if there was none. Valid until the next error in this
// thread.
CHAINRULE_C_API const char* chainrule_error(void);

// Frees a string that a function allocated; NULL is allowed.
CHAINRULE_C_API void chainrule_text_free(char* text);

// A network of float32 or float64 parameters.
typedef struct chainrule_network chainrule_network;

// Makes a network with random weights. The configuration is JSON with the names that a model file uses:
//   {"layer_sizes": [4, 32, 3], "activations": ["relu"], "loss": "softmax_cross_entropy", "seed": 1}
// Only layer_sizes is required. Besides the names in this example there are loss_parameters (a list of numbers), init
// and dtype ("float32" or "float64"). The defaults are those of NetworkOptions in network.h.
CHAINRULE_C_API int chainrule_network_create(const char* configuration, chainrule_network** network);

// Reads a model file of Python, C++ or C. If the file holds an estimator, only its network is read, without the
// encoding of its table.
CHAINRULE_C_API int chainrule_network_load(const char* path, chainrule_network** network);

// Replaces the file atomically.
CHAINRULE_C_API int chainrule_network_save(const chainrule_network* network, const char* path);

CHAINRULE_C_API void chainrule_network_free(chainrule_network* network);  // NULL is allowed

// The numbers of columns of X and of the predictions, and the type of the parameters, "float32" or "float64".
CHAINRULE_C_API int64_t chainrule_network_inputs(const chainrule_network* network);
CHAINRULE_C_API int64_t chainrule_network_outputs(const chainrule_network* network);
CHAINRULE_C_API const char* chainrule_network_dtype(const chainrule_network* network);

// Predict from x (rows x inputs) into out (rows x outputs). If the network has the other type, x is converted to it,
// and the predictions are converted back.
CHAINRULE_C_API int chainrule_network_predict_float(const chainrule_network* network, const float* x, int64_t rows,
                                                    int64_t x_stride, float* out, int64_t out_stride, int threads);
CHAINRULE_C_API int chainrule_network_predict_double(const chainrule_network* network, const double* x, int64_t rows,
                                                     int64_t x_stride, double* out, int64_t out_stride, int threads);

// Rows to train on. The targets are y (rows x outputs; one column if the loss is quantile) or labels, the class numbers
// of softmax_cross_entropy. weights: one per row, or NULL, which means 1 for every row.
typedef struct {
  const float* x;
  int64_t x_stride;
  const float* y;
  int64_t y_stride;
  const int32_t* labels;
  const float* weights;
  int64_t rows;
} chainrule_examples_float;

typedef struct {
  const double* x;
  int64_t x_stride;
  const double* y;
  int64_t y_stride;
  const int32_t* labels;
  const double* weights;
  int64_t rows;
} chainrule_examples_double;

// Trains a float (double) network. validation may be NULL. The settings are JSON with the names of Network.fit in
// Python, which training.h documents; NULL means the defaults. Optimizers and schedules are {"name": {their settings}}:
//   {"optimizer": {"Adam": {"learning_rate": 0.003}}, "batch_size": 32, "epochs": 40, "seed": 1, "threads": 2,
//    "schedules": {"learning_rate": {"Cosine": {"warmup": 2}}}, "metrics": ["accuracy"], "stop": {"no_improvement": 5}}
// If history is not NULL, it receives a JSON object with the members of History in training.h; numbers that are not
// finite are null. Free it with chainrule_text_free.
CHAINRULE_C_API int chainrule_network_fit_float(chainrule_network* network, const chainrule_examples_float* examples,
                                                const chainrule_examples_float* validation, const char* settings,
                                                char** history);
CHAINRULE_C_API int chainrule_network_fit_double(chainrule_network* network, const chainrule_examples_double* examples,
                                                 const chainrule_examples_double* validation, const char* settings,
                                                 char** history);

// An estimator that Python or its command line saved: see table_model.h.
typedef struct chainrule_table_model chainrule_table_model;

CHAINRULE_C_API int chainrule_table_model_load(const char* path, chainrule_table_model** model);
CHAINRULE_C_API void chainrule_table_model_free(chainrule_table_model* model);  // NULL is allowed

// The number of columns, their names, and what they hold: "value", "number", "date", "levels" or "ignored". NULL unless
// 0 <= i < columns.
CHAINRULE_C_API int64_t chainrule_table_model_columns(const chainrule_table_model* model);
CHAINRULE_C_API const char* chainrule_table_model_column_name(const chainrule_table_model* model, int64_t i);
CHAINRULE_C_API const char* chainrule_table_model_column_use(const chainrule_table_model* model, int64_t i);

// The number of classes, 0 for a regressor, and their names; 1 if each row has several labels, else 0; the number of
// probabilities, labels or values per row.
CHAINRULE_C_API int64_t chainrule_table_model_classes(const chainrule_table_model* model);
CHAINRULE_C_API const char* chainrule_table_model_class_name(const chainrule_table_model* model, int64_t i);
CHAINRULE_C_API int chainrule_table_model_multilabel(const chainrule_table_model* model);
CHAINRULE_C_API int64_t chainrule_table_model_outputs(const chainrule_table_model* model);

// A column with one cell per row: either numbers, where NaN is a missing value, or strings (texts), where NULL is one.
// Dates are numbers of days since 1970-01-01 (UTC), times are fractions of a day, booleans are 0 and 1 or strings.
// Columns may be in any order; columns that the model does not have are ignored.
typedef struct {
  const char* name;
  const double* numbers;
  const char* const* texts;
} chainrule_column;

// Write predictions to out, row after row. predict: `outputs` values of a regressor. predict_proba: `outputs`
// probabilities of a classifier. predict_classes: the number of the class or, for a multilabel classifier, `outputs`
// zeros and ones.
CHAINRULE_C_API int chainrule_table_model_predict(const chainrule_table_model* model, const chainrule_column* columns,
                                                  int64_t n_columns, int64_t rows, double* out, int threads);
CHAINRULE_C_API int chainrule_table_model_predict_proba(const chainrule_table_model* model,
                                                        const chainrule_column* columns, int64_t n_columns,
                                                        int64_t rows, double* out, int threads);
CHAINRULE_C_API int chainrule_table_model_predict_classes(const chainrule_table_model* model,
                                                          const chainrule_column* columns, int64_t n_columns,
                                                          int64_t rows, int64_t* out, int threads);

#if defined(__cplusplus)
}
#endif
