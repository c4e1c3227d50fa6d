// A C program that predicts rows of numbers with a model that `chainrule train` or an estimator of Python saved:
// predict_columns model.safetensors < rows.csv. The columns are those of the model, in its order; an empty cell is a
// missing value.
#include <chainrule/chainrule.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char* text) {
  fprintf(stderr, "predict_columns: %s\n", text);
  return 1;
}

int main(int count, char** arguments) {
  static char line[1 << 16];
  chainrule_table_model* model = NULL;
  if (count != 2) return fail("usage: predict_columns model.safetensors < rows.csv");
  if (chainrule_table_model_load(arguments[1], &model)) return fail(chainrule_error());

  const int64_t n_columns = chainrule_table_model_columns(model), n_outputs = chainrule_table_model_outputs(model);
  const int is_classifier = chainrule_table_model_classes(model) > 0;
  chainrule_column* columns = calloc((size_t)n_columns, sizeof *columns);
  double *row = calloc((size_t)n_columns, sizeof *row), *out = calloc((size_t)n_outputs, sizeof *out);
  if (columns == NULL || row == NULL || out == NULL) return fail("out of memory");
  for (int64_t j = 0; j < n_columns; ++j) {
    columns[j].name = chainrule_table_model_column_name(model, j);
    columns[j].numbers = &row[j];
  }
  while (fgets(line, sizeof line, stdin) != NULL) {
    char* at = line;
    for (int64_t j = 0; j < n_columns; ++j) {
      char* end = at;
      row[j] = *at == ',' || *at == '\n' ? NAN : strtod(at, &end);
      if (*end != (j + 1 < n_columns ? ',' : '\n')) return fail("a line does not have a number for each column");
      at = end + 1;
    }
    if (is_classifier ? chainrule_table_model_predict_proba(model, columns, n_columns, 1, out, 1)
                      : chainrule_table_model_predict(model, columns, n_columns, 1, out, 1))
      return fail(chainrule_error());
    for (int64_t k = 0; k < n_outputs; ++k) printf("%.17g%c", out[k], k + 1 < n_outputs ? ',' : '\n');
  }
  free(columns);
  free(row);
  free(out);
  chainrule_table_model_free(model);
  return 0;
}
