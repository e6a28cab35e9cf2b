-- The order call in nginx: check the request, run the script, say what it said.
local cjson = require "cjson.safe"
local redis = require "nginx.redis"

local LIMIT = 1
local BODY_MAX = 8192
local KEPT_MS, KEPT_MAX = 60000, 1024

local script, sha, host, port
local order = {}

local function hex(bytes)
  return (bytes:gsub(".", function(byte) return string.format("%02x", byte:byte()) end))
end

-- Called once, before the workers are made.
function order.init(file, redis_host, redis_port)
  local opened = assert(io.open(file))
  script = opened:read("*a")
  opened:close()
  sha, host, port = hex(ngx.sha1_bin(script)), redis_host, redis_port
end

local function answer(status, content_type, body)
  ngx.status = status
  local header = ngx.header
  header["Content-Type"] = content_type
  header["Cache-Control"] = "no-store"
  header["Content-Length"] = #body
  ngx.print(body)
end

local function refuse(status, code)
  answer(status, "application/problem+json", '{"code":"' .. code .. '"}')
end

-- The one line of an order, if it can be read.
local function line_of(body)
  local asked = body and #body <= BODY_MAX and cjson.decode(body)
  local line = type(asked) == "table" and type(asked.lines) == "table" and #asked.lines == 1 and asked.lines[1]
  if type(line) ~= "table" or line.sku ~= "phone" or type(line.quantity) ~= "number" then
    return nil
  end
  local quantity = line.quantity
  return quantity >= 1 and quantity <= 1000000 and quantity % 1 == 0 and quantity
end

local function run(connection, ...)
  local result, problem = connection:evalsha(sha, ...)
  if not result and problem and problem:find("NOSCRIPT", 1, true) then
    result, problem = connection:eval(script, ...)
  end
  return result, problem
end

function order.take()
  local buyer, key = ngx.var.http_x_buyer_id, ngx.var.http_idempotency_key
  if not buyer or buyer == "" or #buyer > 128 then
    return refuse(401, "unknown_buyer")
  end
  ngx.req.read_body()
  local body = ngx.req.get_body_data()
  local units = line_of(body)
  if not units or not key or #key > 255 then
    return refuse(400, "malformed")
  end
  local connection = redis:new()
  connection:set_timeout(2000)
  if not connection:connect(host, port) then
    return refuse(503, "ledger_unavailable")
  end
  local sale = ngx.var.sale
  local result = run(connection, 2, "{" .. sale .. "}:book", "{" .. sale .. "}:queue", buyer, key, units, LIMIT, body)
  if not result then
    connection:close()
    return refuse(503, "in_doubt")
  end
  connection:set_keepalive(KEPT_MS, KEPT_MAX)
  local outcome, ticket = result[1], result[2]
  if not ticket then
    return refuse(409, outcome)
  end
  if outcome == "replayed" then
    ngx.header["Idempotent-Replayed"] = "true"
  end
  ngx.header["Location"] = "/v1/tickets/" .. ticket
  answer(202, "application/json", '{"ticket":"' .. ticket .. '","state":"queued"}')
end

return order
