// The C interface as a C program uses it: networks are made, trained, saved, loaded and used, and every error gives a
// status and a text. tests/test_c_abi.py compares the results with Python's, in another language.
#include <chainrule/chainrule.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static int checks = 0, failures = 0;

static void check(int passed, const char* condition, int line) {
  ++checks;
  if (!passed && ++failures <= 50)
    printf("test_c_abi.c:%d: failed: %s; the last error: %s\n", line, condition, chainrule_error());
}
#define CHECK(condition) check((condition) != 0, #condition, __LINE__)

static int fails_with(int status, int expected, const char* words) {
  return status == expected && strstr(chainrule_error(), words) != NULL;
}

enum { rows = 50, inputs = 3, stride = 5 };

static chainrule_network* network_of(const char* configuration) {
  chainrule_network* network = NULL;
  CHECK(chainrule_network_create(configuration, &network) == CHAINRULE_OK);
  return network;
}

static void test_versions(void) {
  CHECK(chainrule_abi_version() == CHAINRULE_ABI_VERSION);
  CHECK(strchr(chainrule_version(), '.') != NULL);
  CHECK(strcmp(chainrule_error(), "") == 0);
}

static void test_configurations(void) {
  chainrule_network* network = network_of(
      "{\"layer_sizes\": [3, 8, 4, 2], \"activations\": [\"gelu\", \"relu\"], \"dtype\": \"float64\","
      " \"loss\": \"huber\", \"loss_parameters\": [2.5], \"init\": \"lecun_normal\", \"seed\": 7}");
  const char* const bad[][2] = {{"", "'{'"},
                                {"{}", "it lacks layer_sizes"},
                                {"{\"layer_sizes\": [3]}", "layer_sizes has 1 entries"},
                                {"{\"layer_sizes\": [3, -1]}", "expected a whole number"},
                                {"{\"layer_sizes\": [3, 1], \"seeds\": 1}", "'seeds' is unknown"},
                                {"{\"layer_sizes\": [3, 1], \"loss\": \"hinge\"}", "loss 'hinge' is unknown"},
                                {"{\"layer_sizes\": [3, 1], \"dtype\": \"int8\"}", "dtype 'int8' is unknown"},
                                {"{\"layer_sizes\": [3, 4, 1], \"activations\": [\"relu\", \"relu\"]}", "activations"},
                                {"{\"layer_sizes\": [3, 1]} more", "the end of the text"}};
  size_t i;
  CHECK(chainrule_network_inputs(network) == 3 && chainrule_network_outputs(network) == 2);
  CHECK(strcmp(chainrule_network_dtype(network), "float64") == 0);
  chainrule_network_free(network);
  chainrule_network_free(NULL);
  for (i = 0; i < sizeof bad / sizeof *bad; ++i) {
    network = NULL;
    CHECK(fails_with(chainrule_network_create(bad[i][0], &network), CHAINRULE_INVALID_ARGUMENT, bad[i][1]));
    CHECK(network == NULL);
  }
  CHECK(fails_with(chainrule_network_create(NULL, &network), CHAINRULE_INVALID_ARGUMENT, "configuration is NULL"));
  CHECK(fails_with(chainrule_network_create("{}", NULL), CHAINRULE_INVALID_ARGUMENT, "network is NULL"));
}

static void test_strides_and_types(void) {
  chainrule_network* network = network_of("{\"layer_sizes\": [3, 8, 2], \"seed\": 1}");
  float x[rows * inputs], wide[rows * stride], out[rows * 2], wide_out[rows * stride];
  double x64[rows * inputs], out64[rows * 2];
  int i, j, same = 1, untouched = 1;
  for (i = 0; i < rows; ++i)
    for (j = 0; j < inputs; ++j) {
      x[i * inputs + j] = wide[i * stride + j] = (float)((i * 7 + j * 5) % 11) / 8 - 0.5f;
      x64[i * inputs + j] = x[i * inputs + j];
    }
  for (i = 0; i < rows * stride; ++i) wide_out[i] = -1;
  CHECK(chainrule_network_predict_float(network, x, rows, 0, out, 0, 1) == CHAINRULE_OK);
  CHECK(chainrule_network_predict_float(network, wide, rows, stride, wide_out, stride, 2) == CHAINRULE_OK);
  CHECK(chainrule_network_predict_double(network, x64, rows, inputs, out64, 2, 0) == CHAINRULE_OK);
  for (i = 0; i < rows; ++i)
    for (j = 0; j < stride; ++j) {
      if (j < 2)
        same = same && out[i * 2 + j] == wide_out[i * stride + j] && out64[i * 2 + j] == (double)out[i * 2 + j];
      if (j >= 2) untouched = untouched && wide_out[i * stride + j] < 0 && wide_out[i * stride + j] > -2;
    }
  CHECK(same && untouched);
  CHECK(chainrule_network_predict_float(network, NULL, 0, 0, NULL, 0, 0) == CHAINRULE_OK);
  CHECK(fails_with(chainrule_network_predict_float(network, NULL, 1, 0, out, 0, 0), CHAINRULE_INVALID_ARGUMENT,
                   "x is NULL"));
  CHECK(fails_with(chainrule_network_predict_float(network, x, 1, 0, NULL, 0, 0), CHAINRULE_INVALID_ARGUMENT,
                   "out is NULL"));
  CHECK(fails_with(chainrule_network_predict_float(NULL, x, 1, 0, out, 0, 0), CHAINRULE_INVALID_ARGUMENT,
                   "network is NULL"));
  CHECK(fails_with(chainrule_network_predict_float(network, x, -1, 0, out, 0, 0), CHAINRULE_INVALID_ARGUMENT, "is -1"));
  CHECK(fails_with(chainrule_network_predict_float(network, x, 1, 2, out, 0, 0), CHAINRULE_INVALID_ARGUMENT,
                   "stride of x"));
  CHECK(fails_with(chainrule_network_predict_float(network, x, 1, 0, out, 1, 0), CHAINRULE_INVALID_ARGUMENT,
                   "stride of out"));
  CHECK(fails_with(chainrule_network_predict_double(network, x64, INT64_MAX, 0, out64, 0, 0),
                   CHAINRULE_INVALID_ARGUMENT, "more than memory can hold"));
  chainrule_network_free(network);
}

static void test_training(void) {
  chainrule_network* network =
      network_of("{\"layer_sizes\": [3, 8, 2], \"loss\": \"softmax_cross_entropy\", \"seed\": 1}");
  chainrule_network* again = NULL;
  float x[rows * inputs], before[rows * 2], after[rows * 2];
  int32_t labels[rows];
  int i, right = 0;
  char* history = NULL;
  chainrule_examples_float examples = {0}, validation = {0};
  const char* settings =
      "{\"optimizer\": {\"Adam\": {\"learning_rate\": 0.05, \"weight_decay\": 0.001}}, \"batch_size\": 10,"
      " \"epochs\": 30, \"seed\": 3, \"threads\": 1, \"metrics\": [\"accuracy\", \"log_loss\"], \"clip_norm\": null,"
      " \"dropout\": 0.0, \"schedules\": {\"learning_rate\": {\"Cosine\": {\"warmup\": 2}}}, \"shuffle\": true,"
      " \"groups\": [{\"layers\": [0], \"kind\": \"weights\", \"learning_rate\": 0.5}], \"stop\": {\"seconds\": 1000}}";
  const char* const bad[][2] = {
      {"[]", "settings: expected '{'"},
      {"{\"epochs\": 0}", "epochs is 0, expected at least 1"},
      {"{\"epoch\": 1}", "settings: 'epoch' is unknown, expected one of seed, threads, metrics, optimizer, batch_size"},
      {"{\"epochs\": \"1\"}", "settings: epochs: expected a digit"},
      {"{\"optimizer\": \"Adamax\"}", "optimizer 'Adamax' is unknown, expected one of SGD, Adam"},
      {"{\"optimizer\": {}}", "settings: optimizer: it has 0 entries"},
      {"{\"optimizer\": {\"SGD\": {}, \"Adam\": {}}}", "it has 2 entries"},
      {"{\"optimizer\": {\"SGD\": {\"learning_rate\": -1}}}", "learning_rate"},
      {"{\"optimizer\": {\"SGD\": {\"rate\": 1}}}",
       "settings: optimizer: SGD: 'rate' is unknown, expected one of learn"},
      {"{\"schedules\": {\"momentum\": \"Cosine\"}}", "'momentum' is unknown"},
      {"{\"metrics\": [\"f1\"]}", "settings: metrics: metric 'f1' is unknown"},
      {"{\"shuffle\": 1}", "settings: shuffle: expected true or false"},
      {"{\"groups\": [{\"kind\": \"bias\"}]}", "the kind of a group 'bias' is unknown"},
      {"{\"stop\": {\"no_improvement\": 0}}", "no_improvement"},
      {"{\"seed\": -1}", "settings: seed: expected a whole number"},
      {"{\"epochs\": 1}}", "the end of the text"}};
  size_t k;
  for (i = 0; i < rows; ++i) {
    x[3 * i] = (float)(i % 7) - 3;
    x[3 * i + 1] = (float)(i % 5) - 2;
    x[3 * i + 2] = 1;
    labels[i] = x[3 * i] > 0;
  }
  examples.x = validation.x = x;
  examples.labels = validation.labels = labels;
  examples.rows = rows;
  validation.rows = 10;
  CHECK(chainrule_network_predict_float(network, x, rows, 0, before, 0, 1) == CHAINRULE_OK);
  for (k = 0; k < sizeof bad / sizeof *bad; ++k)
    CHECK(fails_with(chainrule_network_fit_float(network, &examples, NULL, bad[k][0], &history),
                     CHAINRULE_INVALID_ARGUMENT, bad[k][1]));
  CHECK(history == NULL);
  CHECK(chainrule_network_predict_float(network, x, rows, 0, after, 0, 1) == CHAINRULE_OK);
  CHECK(memcmp(before, after, sizeof before) == 0);

  CHECK(chainrule_network_fit_float(network, &examples, &validation, settings, &history) == CHAINRULE_OK);
  CHECK(history != NULL && strstr(history, "\"epochs\": 30") && strstr(history, "\"stop_reason\": \"epochs\""));
  chainrule_text_free(history);
  chainrule_text_free(NULL);
  CHECK(chainrule_network_predict_float(network, x, rows, 0, after, 0, 1) == CHAINRULE_OK);
  for (i = 0; i < rows; ++i) right += (after[2 * i + 1] > 0.5f) == labels[i];
  CHECK(right == rows);

  CHECK(chainrule_network_save(network, "test_c_abi.model") == CHAINRULE_OK);
  CHECK(chainrule_network_load("test_c_abi.model", &again) == CHAINRULE_OK);
  CHECK(chainrule_network_predict_float(again, x, rows, 0, before, 0, 1) == CHAINRULE_OK);
  CHECK(memcmp(before, after, sizeof before) == 0);
  CHECK(chainrule_network_fit_float(again, &examples, NULL, "{\"shuffle\": {\"WithinParts\": {\"rows\": 8}}}", NULL) ==
        CHAINRULE_OK);
  CHECK(remove("test_c_abi.model") == 0);
  chainrule_network_free(again);

  examples.y = x;
  CHECK(fails_with(chainrule_network_fit_float(network, &examples, NULL, NULL, NULL), CHAINRULE_INVALID_ARGUMENT,
                   "y and labels"));
  examples.y = NULL;
  labels[4] = 2;
  CHECK(fails_with(chainrule_network_fit_float(network, &examples, NULL, NULL, NULL), CHAINRULE_INVALID_ARGUMENT, "2"));
  CHECK(fails_with(chainrule_network_fit_float(network, NULL, NULL, NULL, NULL), CHAINRULE_INVALID_ARGUMENT,
                   "examples is NULL"));
  CHECK(fails_with(chainrule_network_fit_double(network, NULL, NULL, NULL, NULL), CHAINRULE_INVALID_ARGUMENT,
                   "examples is NULL"));
  chainrule_network_free(network);
}

static void test_values_of_float64(void) {
  const char* const losses[] = {
      "{\"layer_sizes\": [1, 4, 2], \"dtype\": \"float64\", \"loss\": \"quantile\","
      " \"loss_parameters\": [0.1, 0.9]}",
      "{\"layer_sizes\": [1, 4, 2], \"dtype\": \"float64\"}"};
  double x[rows], y[rows * 2], weights[rows];
  chainrule_examples_double examples = {0};
  chainrule_examples_float other = {0};
  int i, k;
  for (i = 0; i < rows; ++i) {
    x[i] = i / 50.0;
    y[2 * i] = y[2 * i + 1] = 2 * x[i];
    weights[i] = 1 + i % 2;
  }
  examples.x = x;
  examples.y = y;
  examples.y_stride = 2;
  examples.weights = weights;
  examples.rows = rows;
  for (k = 0; k < 2; ++k) {
    chainrule_network* network = network_of(losses[k]);
    char* history = NULL;
    CHECK(chainrule_network_fit_double(network, &examples, NULL, "{\"optimizer\": \"LBFGS\", \"epochs\": 3}",
                                       &history) == CHAINRULE_OK);
    CHECK(history != NULL && strstr(history, "\"loss\": ["));
    chainrule_text_free(history);
    CHECK(fails_with(chainrule_network_fit_float(network, &other, NULL, NULL, NULL), CHAINRULE_INVALID_ARGUMENT,
                     "use chainrule_network_fit_double"));
    chainrule_network_free(network);
  }
}

static void test_divergence(void) {
  chainrule_network* network = network_of("{\"layer_sizes\": [1, 1], \"seed\": 1}");
  const float x[] = {1, 2, 3, 4};
  chainrule_examples_float examples = {0};
  float out = 0;
  examples.x = examples.y = x;
  examples.rows = 4;
  CHECK(fails_with(
      chainrule_network_fit_float(network, &examples, NULL,
                                  "{\"optimizer\": {\"SGD\": {\"learning_rate\": 1e30}}, \"epochs\": 100}", NULL),
      CHAINRULE_DIVERGED, "NaN or infin"));
  CHECK(chainrule_network_predict_float(network, x, 1, 0, &out, 0, 0) == CHAINRULE_OK);
  CHECK(!isnan(out));
  chainrule_network_free(network);
}

static void test_files(void) {
  chainrule_network* network = NULL;
  FILE* file = fopen("test_c_abi.damaged", "wb");
  CHECK(file != NULL && fputs("{\"not a model\"}", file) >= 0 && fclose(file) == 0);
  CHECK(
      fails_with(chainrule_network_load("test_c_abi.damaged", &network), CHAINRULE_INVALID_FILE, "test_c_abi.damaged"));
  CHECK(fails_with(chainrule_network_load("no such file", &network), CHAINRULE_SYSTEM_ERROR, "no such file"));
  CHECK(network == NULL);
  network = network_of("{\"layer_sizes\": [1, 1]}");
  CHECK(fails_with(chainrule_network_save(network, "no folder/model"), CHAINRULE_SYSTEM_ERROR, "cannot write"));
  CHECK(fails_with(chainrule_network_save(network, NULL), CHAINRULE_INVALID_ARGUMENT, "path is NULL"));
  chainrule_network_free(network);
  CHECK(remove("test_c_abi.damaged") == 0);
}

static void test_long_errors(void) {
  static char text[3000];
  chainrule_network* network = NULL;
  size_t i;
  for (i = 0; i + 3 < sizeof text; i += 3) memcpy(text + i, "\xE2\x82\xAC", 3);
  CHECK(chainrule_network_load(text, &network) == CHAINRULE_SYSTEM_ERROR);
  i = strlen(chainrule_error());
  CHECK(i < 1024 && i > 1000);
}

int main(void) {
  test_versions();
  test_configurations();
  test_strides_and_types();
  test_training();
  test_values_of_float64();
  test_divergence();
  test_files();
  test_long_errors();
  printf("c_abi: %d checks, %d failed\n", checks, failures);
  return failures == 0 && checks > 0 ? 0 : 1;
}
