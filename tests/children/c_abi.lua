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

commands[command](unpack(arg, 4))
