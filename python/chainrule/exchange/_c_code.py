"""The C functions from which a header is made.

In their texts, NAME stands for the prefix of all names, REAL for float or double, WEIGHT for the type of the weights,
`exp_r` for the function of the type (`expf` or `exp`), and `1.0r` for a constant of the type.
"""

import re

_MATH = "exp|expm1|log1p|tanh|erf|sin|fabs"

# The value of each activation.
ACTIVATIONS = {
    "identity": "z",
    "logistic": "NAME_logistic(z)",
    "tanh": "tanh_r(z)",
    "relu": "z < 0.0r ? 0.0r : z",
    "leaky_relu": "z > 0.0r ? z : 0.01r * z",
    "elu": "z > 0.0r ? z : expm1_r(z)",
    "selu": "z > 0.0r ? 1.0507009873554805r * z : 1.7580993408473769r * expm1_r(z)",
    "gelu": "z * (0.5r * erf_r(0.7071067811865476r * z) + 0.5r)",
    "gelu_tanh": "z * (0.5r * tanh_r(0.7978845608028654r * z * (1.0r + 0.044715r * (z * z))) + 0.5r)",
    "silu": "z * NAME_logistic(z)",
    "softplus": "(z > 0.0r ? z : 0.0r) + log1p_r(exp_r(z > 0.0r ? -z : z))",
    "mish": "z * NAME_tanh_softplus(z)",
    "hard_tanh": "z < -1.0r ? -1.0r : z > 1.0r ? 1.0r : z",
    "sin": "sin_r(z)",
    "softsign": "z / (1.0r + fabs_r(z))",
}

# The statements of each output activation.
OUTPUTS = {
    "logistic": "for (int j = 0; j < n; ++j) z[j] = NAME_logistic(z[j]);",
    "exp": "for (int j = 0; j < n; ++j) z[j] = exp_r(z[j]);",
    "softmax": """\
REAL largest = z[0], sum = 0.0r;
  for (int j = 1; j < n; ++j) largest = z[j] > largest ? z[j] : largest;
  for (int j = 0; j < n; ++j) {
    z[j] = exp_r(z[j] - largest);
    sum += z[j];
  }
  for (int j = 0; j < n; ++j) z[j] /= sum;""",
}

# In the order of their definitions; `define` selects those that are called. Some differ by type.
_FUNCTIONS: dict[str, str | dict[str, str]] = {
    "exp": {
        "float32": """
/* exp(x) = 2^n exp(r), |r| < 0.35, for x up to 88, with an error below 2 units in the last place. The polynomial is
   that of the Cephes library. There is no branch, so that compilers can vectorize loops. Read as unsigned integers,
   negative floats grow with their magnitude, so taking the smaller integer clamps x at -104, where exp underflows to
   0. */
static inline float NAME_exp(float x) {
  union { float value; unsigned bits; } limited;
  union { float value; int bits; } n, power, rest;
  float r, y;
  limited.value = x;
  limited.bits = limited.bits < 0xC2D00000u ? limited.bits : 0xC2D00000u;
  x = limited.value;
  n.value = 1.44269504f * x + 12582912.0f; /* 1.5 * 2^23: the sum is rounded to a whole number */
  n.bits -= 0x4B400000;
  r = (x - (float)n.bits * 0.693359375f) + (float)n.bits * 2.12194440e-4f;
  y = 1.9875691500e-4f * r + 1.3981999507e-3f;
  y = (y * r + 8.3334519073e-3f) * r + 4.1665795894e-2f;
  y = (y * r + 1.6666665459e-1f) * r + 5.0000001201e-1f;
  y = y * (r * r) + r + 1.0f;
  power.bits = (n.bits / 2 + 127) * 0x800000; /* 2^n as two factors, so that small results are right */
  rest.bits = (n.bits - n.bits / 2 + 127) * 0x800000;
  return y * power.value * rest.value;
}
""",
        "float64": """
static inline double NAME_exp(double x) { return exp(x); }
""",
    },
    "limit": {
        "float32": """
/* x, or 20 if x is larger or NaN; see NAME_exp */
static inline float NAME_limit(float x) {
  union { float value; int bits; } limited;
  limited.value = x;
  limited.bits = limited.bits < 0x41A00000 ? limited.bits : 0x41A00000;
  return limited.value;
}
""",
        "float64": """
static inline double NAME_limit(double x) { return x < 20.0 ? x : 20.0; }
""",
    },
    "logistic": """
static inline REAL NAME_logistic(REAL z) {
  const REAL e = NAME_exp(-fabs_r(z)), y = (z < 0.0r ? e : 1.0r) / (1.0r + e);
  return z == z ? y : z; /* NaN stays NaN */
}
""",
    "tanh_softplus": """
/* tanh(log(1 + exp(z))) = w / (w + 2) with w = e (e + 2), e = exp(z). */
static inline REAL NAME_tanh_softplus(REAL z) {
  const REAL e = NAME_exp(NAME_limit(z)), w = e * (e + 2.0r);
  return w / (w + 2.0r);
}
""",
    "add": """
/* z += x w */
static inline void NAME_add(int n, REAL x, const WEIGHT *w, REAL *z) {
  for (int j = 0; j < n; ++j) z[j] += x * w[j];
}
""",
    "dense": """
/* z += W x; w holds the weights of one input after the other. */
static inline void NAME_dense(int n_in, int n_out, const REAL *x, const WEIGHT *w, REAL *z) {
  int i = 0;
  for (; i + 4 <= n_in; i += 4, w += 4 * n_out) {
    const WEIGHT *w1 = w + n_out, *w2 = w1 + n_out, *w3 = w2 + n_out;
    const REAL x0 = x[i], x1 = x[i + 1], x2 = x[i + 2], x3 = x[i + 3];
    for (int j = 0; j < n_out; ++j) z[j] += (x0 * w[j] + x1 * w1[j]) + (x2 * w2[j] + x3 * w3[j]);
  }
  for (; i < n_in; ++i, w += n_out) NAME_add(n_out, x[i], w, z);
}
""",
    "dot": """
/* z += W x for few outputs; w holds the weights of one output after the other. */
static inline void NAME_dot(int n_in, int n_out, const REAL *x, const WEIGHT *w, REAL *z) {
  for (int j = 0; j < n_out; ++j, w += n_in) {
    REAL s[8] = {0.0r};
    int i = 0;
    for (; i + 8 <= n_in; i += 8) {
      for (int k = 0; k < 8; ++k) s[k] += x[i + k] * w[i + k];
    }
    for (; i < n_in; ++i) s[0] += x[i] * w[i];
    z[j] += ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
  }
}
""",
    "copy": """
static inline void NAME_copy(int n, const REAL *x, REAL *z) {
  for (int j = 0; j < n; ++j) z[j] = x[j];
}
""",
    "zero": """
static inline void NAME_zero(int n, REAL *z) {
  for (int j = 0; j < n; ++j) z[j] = 0.0r;
}
""",
    "scale": """
/* z = s z + b, where s is the unit of the 8-bit weights */
static inline void NAME_scale(int n, const REAL *s, const REAL *b, REAL *z) {
  for (int j = 0; j < n; ++j) z[j] = s[j] * z[j] + b[j];
}
""",
    "clip": """
/* The scaled number, clipped smoothly to -3 and 3. */
static inline double NAME_clip(double x, double median, double scale) {
  double s = (x - median) / scale;
  if (s > 1e15) s = 1e15;
  if (s < -1e15) s = -1e15;
  return s / sqrt(1.0 + (s / 3.0) * (s / 3.0));
}
""",
    "bins": """
/* z += the weights of the bins below x, and a fraction of the weights of the bin of x. w holds for each edge the sums
   of the weights below it, two of which are interpolated. */
static inline void NAME_bins(int n, double x, const double *edges, int n_bins, const WEIGHT *w, REAL *z) {
  int low = 0, high = n_bins;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (x < edges[middle]) high = middle;
    else low = middle;
  }
  double f = (x - edges[low]) / (edges[low + 1] - edges[low]);
  f = f < 0.0 ? 0.0 : f > 1.0 ? 1.0 : f;
  const REAL above = (REAL)f, below = 1.0r - above;
  const WEIGHT *w0 = w + low * n, *w1 = w0 + n;
  for (int j = 0; j < n; ++j) z[j] += below * w0[j] + above * w1[j];
}
""",
    "levels": r"""
struct NAME_levels {
  const char *const *texts; /* n_exact levels, then n_alike simplified ones, both in ascending order */
  const int *codes;         /* the feature of each */
  int n_exact, n_alike, is_boolean;
  int other, missing; /* the feature of other levels and of a missing one, or -1 */
};

/* The index of a text of n bytes among m sorted texts, or -1. */
static inline int NAME_find(const char *text, int n, const char *const *texts, int m) {
  int low = 0, high = m;
  while (low < high) {
    const int middle = (low + high) / 2;
    const char *other = texts[middle];
    int i = 0;
    while (i < n && other[i] && text[i] == other[i]) ++i;
    const int a = i < n ? (unsigned char)text[i] : 0, b = (unsigned char)other[i];
    if (a == b) return middle;
    if (a < b) high = middle;
    else low = middle + 1;
  }
  return -1;
}

/* The number of bytes, at most n, of the white space character at the beginning, or 0. */
static inline int NAME_space(const char *text, int n) {
  const unsigned char *p = (const unsigned char *)text;
  if (n > 0 && (p[0] == ' ' || (p[0] >= 9 && p[0] <= 13) || (p[0] >= 28 && p[0] <= 31))) return 1;
  if (n > 1 && p[0] == 0xC2 && (p[1] == 0x85 || p[1] == 0xA0)) return 2;
  if (n < 3 || p[0] < 0xE1 || p[0] > 0xE3) return 0;
  if (p[0] == 0xE1) return p[1] == 0x9A && p[2] == 0x80 ? 3 : 0;
  if (p[0] == 0xE3) return p[1] == 0x80 && p[2] == 0x80 ? 3 : 0;
  if (p[1] == 0x80) return (p[2] >= 0x80 && p[2] <= 0x8A) || p[2] == 0xA8 || p[2] == 0xA9 || p[2] == 0xAF ? 3 : 0;
  return p[1] == 0x81 && p[2] == 0x9F ? 3 : 0;
}

/* The length of the number before ".0", ".00" ... at the end, otherwise n. */
static inline int NAME_whole(const char *text, int n) {
  int i = 0, end;
  if (n > 0 && (text[0] == '+' || text[0] == '-')) i = 1;
  if (i < n && text[i] == '0') ++i;
  else if (i < n && text[i] >= '1' && text[i] <= '9') {
    while (i < n && text[i] >= '0' && text[i] <= '9') ++i;
  } else return n;
  end = i;
  if (i + 1 >= n || text[i] != '.') return n;
  for (++i; i < n; ++i) {
    if (text[i] != '0') return n;
  }
  return end;
}

/* 1 if the text of n bytes is this word of n lower-case letters, ignoring case. */
static inline int NAME_same(const char *text, const char *word, int n) {
  for (int i = 0; i < n; ++i) {
    const char c = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
    if (c != word[i]) return 0;
  }
  return 1;
}

/* The feature of a level, or -1: "1.0" also means "1", " a" means "a", for booleans "TRUE" and "1" mean "True". */
static inline int NAME_level(const char *text, const struct NAME_levels *levels) {
  const char *const *simplified = levels->texts + levels->n_exact;
  int n = 0, k, place;
  if (!text) return levels->missing;
  while (text[n]) ++n;
  place = NAME_find(text, n, levels->texts, levels->n_exact);
  if (place >= 0) return levels->codes[place];
  while ((k = NAME_space(text, n)) > 0) {
    text += k;
    n -= k;
  }
  for (k = 1; k <= 3 && k <= n; ++k) {
    if (NAME_space(text + n - k, k) == k) {
      n -= k;
      k = 0;
    }
  }
  n = NAME_whole(text, n);
  if (levels->is_boolean) {
    const int is_true = n == 4 && NAME_same(text, "true", 4), is_false = n == 5 && NAME_same(text, "false", 5);
    if (is_true || is_false) {
      text = is_true ? "1" : "0";
      n = 1;
    }
  }
  place = NAME_find(text, n, simplified, levels->n_alike);
  return place < 0 ? levels->other : levels->codes[levels->n_exact + place];
}
""",
}

# The program of the self-test.
MAIN = """
int main(void) {
  int wrong = 0;
  for (int i = 0; i < @rows@; ++i) {
    @result@ y[@n@];
    NAME_predict(@row@, y);
    for (int j = 0; j < @n@; ++j) {
      const double expected = NAME_test_outputs[@n@ * i + j], found = (double)y[j];
      if (fabs(found - expected) <= NAME_test_allowed[j]) continue;
      printf("row %d, output %d (%s): %.17g, expected %.17g\\n", i, j, @label@, found, expected);
      ++wrong;
    }
  }
  printf("@rows@ rows, %d wrong outputs\\n", wrong);
  return wrong != 0;
}
"""
MAIN_OF_CLASSES = MAIN.replace(
    "    NAME_predict(@row@, y);\n",
    """\
    const int label = NAME_predict(@row@, y);
    for (int j = 0; j < @n@; ++j) {
      if (y[j] <= y[label]) continue;
      printf("row %d: the class %s is not the most probable one\\n", i, NAME_labels[label]);
      ++wrong;
    }
""",
)


def define(code: str, dtype: str) -> str:
    """Return the definitions of the functions that `code` calls, and of those that they call."""
    definitions = ""
    for name, text in reversed(_FUNCTIONS.items()):
        calls = rf"\bNAME_{name}\b" if name != "levels" else r"\bNAME_level\("
        if re.search(calls, definitions + code):
            definitions = (text if isinstance(text, str) else text[dtype]) + definitions
    return definitions


def define_activation(name: str) -> str:
    """Return the definition of a function that applies an activation to n numbers."""
    value = re.sub(r"\bz\b", "z[j]", ACTIVATIONS[name])
    return f"""
static inline void NAME_{name}_layer(int n, REAL *z) {{
  for (int j = 0; j < n; ++j) z[j] = {value};
}}
"""


def define_output(name: str) -> str:
    """Return the definition of the function that applies an output activation."""
    return f"""
static inline void NAME_{name}_output(int n, REAL *z) {{
  {OUTPUTS[name]}
}}
"""


def instantiate(code: str, name: str, dtype: str, weight: str) -> str:
    """Replace NAME, REAL, WEIGHT, `exp_r` and `1.0r`."""
    is_single = dtype == "float32"
    code = re.sub(rf"\b({_MATH})_r\b", r"\1f" if is_single else r"\1", code)
    code = re.sub(r"\b(\d+\.\d+)r\b", r"\1f" if is_single else r"\1", code)
    code = re.sub(r"\bWEIGHT\b", weight, code)
    code = re.sub(r"\bREAL\b", "float" if is_single else "double", code)
    return code.replace("NAME_", f"{name}_")
