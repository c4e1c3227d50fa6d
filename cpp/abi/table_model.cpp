// The functions of chainrule.h for estimators.
#include "chainrule/table_model.h"

#include <algorithm>
#include <deque>

#include "abi/handles.h"
#include "core/check.h"

struct chainrule_table_model {
  chainrule::TableModel model;
};

namespace chainrule {
namespace {

// The caller's columns as a C++ table.
class Table {
 public:
  Table(const chainrule_column* columns, std::int64_t n_columns, std::int64_t rows) {
    require(rows >= 0, "the number of rows is ", rows, ", expected 0 or more");
    require(n_columns >= 0, "the number of columns is ", n_columns, ", expected 0 or more");
    require(columns != nullptr || n_columns == 0, "columns is NULL");
    const auto count = static_cast<std::size_t>(rows);
    for (std::int64_t k = 0; k < n_columns; ++k) {
      const chainrule_column& column = columns[k];
      require(column.name != nullptr, "the name of column ", k, " is NULL");
      require((column.numbers == nullptr) != (column.texts == nullptr), "column '",
              beginning(std::string(column.name), 100), "' must have either numbers or texts");
      if (column.numbers != nullptr) {
        table_.push_back({column.name, std::span(column.numbers, count)});
        continue;
      }
      std::vector<TextCell>& cells = texts_.emplace_back(count);
      for (std::size_t i = 0; i < count; ++i)
        if (column.texts[i] != nullptr) cells[i] = column.texts[i];
      table_.push_back({column.name, std::span<const TextCell>(cells)});
    }
  }
  std::span<const TableColumn> view() const { return table_; }

 private:
  std::deque<std::vector<TextCell>> texts_;
  std::vector<TableColumn> table_;
};

template <class Value, class Out>
int predict(const chainrule_table_model* handle, const chainrule_column* columns, std::int64_t n_columns,
            std::int64_t rows, Out* out, int threads,
            std::vector<Value> (TableModel::*function)(std::span<const TableColumn>, int) const) {
  return guarded([&] {
    require_not_null(handle, "model");
    require(out != nullptr || rows == 0, "out is NULL");
    const Table table(columns, n_columns, rows);
    std::ranges::copy((handle->model.*function)(table.view(), threads), out);
  });
}

// The i-th element; null if there is none.
template <class Value>
const Value* at(const std::vector<Value>& values, std::int64_t i) {
  return i >= 0 && i < static_cast<std::int64_t>(values.size()) ? &values[static_cast<std::size_t>(i)] : nullptr;
}

}  // namespace
}  // namespace chainrule

using namespace chainrule;

int chainrule_table_model_load(const char* path, chainrule_table_model** model) {
  return guarded([&] {
    require_not_null(path, "path");
    require_not_null(model, "model");
    *model = new chainrule_table_model{load_table_model(path_of(path))};
  });
}

void chainrule_table_model_free(chainrule_table_model* model) { delete model; }

int64_t chainrule_table_model_columns(const chainrule_table_model* model) {
  return static_cast<int64_t>(model->model.columns().size());
}

const char* chainrule_table_model_column_name(const chainrule_table_model* model, int64_t i) {
  const auto* column = at(model->model.columns(), i);
  return column == nullptr ? nullptr : column->name.c_str();
}

const char* chainrule_table_model_column_use(const chainrule_table_model* model, int64_t i) {
  const auto* column = at(model->model.columns(), i);
  return column == nullptr ? nullptr : column_use_names[static_cast<int>(column->use)];
}

int64_t chainrule_table_model_classes(const chainrule_table_model* model) {
  return static_cast<int64_t>(model->model.classes().size());
}

const char* chainrule_table_model_class_name(const chainrule_table_model* model, int64_t i) {
  const auto* name = at(model->model.classes(), i);
  return name == nullptr ? nullptr : name->c_str();
}

int chainrule_table_model_multilabel(const chainrule_table_model* model) { return model->model.multilabel(); }

int64_t chainrule_table_model_outputs(const chainrule_table_model* model) { return model->model.outputs(); }

int chainrule_table_model_predict(const chainrule_table_model* model, const chainrule_column* columns,
                                  int64_t n_columns, int64_t rows, double* out, int threads) {
  return predict(model, columns, n_columns, rows, out, threads, &TableModel::predict);
}

int chainrule_table_model_predict_proba(const chainrule_table_model* model, const chainrule_column* columns,
                                        int64_t n_columns, int64_t rows, double* out, int threads) {
  return predict(model, columns, n_columns, rows, out, threads, &TableModel::predict_proba);
}

int chainrule_table_model_predict_classes(const chainrule_table_model* model, const chainrule_column* columns,
                                          int64_t n_columns, int64_t rows, int64_t* out, int threads) {
  return predict(model, columns, n_columns, rows, out, threads, &TableModel::predict_classes);
}
