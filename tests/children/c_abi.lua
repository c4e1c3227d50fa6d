-- Uses the C interface from LuaJIT, which reads its declarations from the header: tests/test_c_abi.py.
-- luajit c_abi.lua LIBRARY HEADER COMMAND ...; the header is preprocessed.
local ffi = require("ffi")
local library, header, command = arg[1], arg[2], arg[3]

local function content(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

ffi.cdef(content(header))
local chainrule = ffi.load(library)
assert(chainrule.chainrule_abi_version() == 1)

local function ok(status)
  if status ~= chainrule.CHAINRULE_OK then
    io.stderr:write(status, ": ", ffi.string(chainrule.chainrule_error()), "\n")
    os.exit(1)
  end
end

local function load_network(path)
  local box = ffi.new("chainrule_network*[1]")
  ok(chainrule.chainrule_network_load(path, box))
  return ffi.gc(box[0], chainrule.chainrule_network_free)
end

-- An array with the bytes of a file.
local function array(kind, path)
  local text = content(path)
  local values = ffi.new(kind .. "[?]", #text / ffi.sizeof(kind))
  ffi.copy(values, text, #text)
  return values, #text / ffi.sizeof(kind)
end

local function write(path, values, bytes)
  local file = assert(io.open(path, "wb"))
  file:write(ffi.string(values, bytes))
  file:close()
end

local commands = {}

-- train CONFIGURATION SETTINGS X LABELS MODEL: prints the history
function commands.train(configuration, settings, x_path, labels_path, model)
  local box = ffi.new("chainrule_network*[1]")
  ok(chainrule.chainrule_network_create(configuration, box))
  local network = ffi.gc(box[0], chainrule.chainrule_network_free)
  local x = array("float", x_path)
  local labels, rows = array("int32_t", labels_path)
  local examples = ffi.new("chainrule_examples_float", {x = x, labels = labels, rows = rows})
  local history = ffi.new("char*[1]")
  ok(chainrule.chainrule_network_fit_float(network, examples, nil, settings, history))
  print(ffi.string(history[0]))
  chainrule.chainrule_text_free(history[0])
  ok(chainrule.chainrule_network_save(network, model))
end

-- predict MODEL TYPE X OUT
function commands.predict(model, kind, x_path, out_path)
  local network = load_network(model)
  local x, count = array(kind, x_path)
  local rows = count / tonumber(chainrule.chainrule_network_inputs(network))
  local size = rows * tonumber(chainrule.chainrule_network_outputs(network))
  local out = ffi.new(kind .. "[?]", size)
  ok(chainrule["chainrule_network_predict_" .. kind](network, x, rows, 0, out, 0, 0))
  write(out_path, out, size * ffi.sizeof(kind))
end

-- table MODEL TABLE OUT: the table as tests/cpp/predict_table.cpp reads it; prints columns and classes
function commands.table(path, table_path, out_path)
  local box = ffi.new("chainrule_table_model*[1]")
  ok(chainrule.chainrule_table_model_load(path, box))
  local model = ffi.gc(box[0], chainrule.chainrule_table_model_free)
  local text, at = content(table_path), 0
  local function number()
    local value = ffi.new("int64_t[1]")
    ffi.copy(value, text:sub(at + 1, at + 8), 8)
    at = at + 8
    return tonumber(value[0])
  end
  local kept = {}  -- Lua must not collect what the columns point to
  local function string_of(size)
    local copy = ffi.new("char[?]", size + 1, text:sub(at + 1, at + size))
    at = at + size
    kept[#kept + 1] = copy
    return copy
  end
  local n_columns, rows = number(), number()
  local columns = ffi.new("chainrule_column[?]", n_columns)
  for k = 0, n_columns - 1 do
    columns[k].name = string_of(number())
    local cells
    if number() == 0 then
      cells = ffi.new("double[?]", rows)
      ffi.copy(cells, text:sub(at + 1, at + 8 * rows), 8 * rows)
      at = at + 8 * rows
      columns[k].numbers = cells
    else
      cells = ffi.new("const char*[?]", rows)
      for i = 0, rows - 1 do
        local size = number()
        if size >= 0 then cells[i] = string_of(size) end
      end
      columns[k].texts = cells
    end
    kept[#kept + 1] = cells
  end
  for i = 0, tonumber(chainrule.chainrule_table_model_columns(model)) - 1 do
    print(ffi.string(chainrule.chainrule_table_model_column_name(model, i)),
          ffi.string(chainrule.chainrule_table_model_column_use(model, i)))
  end
  local n_classes = tonumber(chainrule.chainrule_table_model_classes(model))
  for i = 0, n_classes - 1 do print(ffi.string(chainrule.chainrule_table_model_class_name(model, i))) end
  assert(chainrule.chainrule_table_model_class_name(model, n_classes) == nil)
  local size = rows * tonumber(chainrule.chainrule_table_model_outputs(model))
  local out = ffi.new("double[?]", size)
  if n_classes == 0 then
    ok(chainrule.chainrule_table_model_predict(model, columns, n_columns, rows, out, 0))
  else
    ok(chainrule.chainrule_table_model_predict_proba(model, columns, n_columns, rows, out, 0))
    local count = chainrule.chainrule_table_model_multilabel(model) == 1 and size or rows
    local numbers = ffi.new("int64_t[?]", count)
    ok(chainrule.chainrule_table_model_predict_classes(model, columns, n_columns, rows, numbers, 0))
    write(out_path .. ".classes", numbers, 8 * count)
  end
  write(out_path, out, size * 8)
end

commands[command](unpack(arg, 4))
