-- The main scenario for wrk, for whoever trusts no tool of ours: a new buyer and a new key with each order.
--
--   forebay sale put open-spike --item phone=2000 --limit 1
--   wrk -t1 -c256 -d8s --latency -s loadtest/wrk/open-spike.lua http://127.0.0.1:8080 -- open-spike phone
--
-- wrk is a closed loop: it sends as fast as answers come, so its latencies leave out whoever would have come while
-- the gateway was slow. It judges nothing: `forebay verify` says whether every promise was kept.

local started = os.time()
local threads = {}

function setup(thread)
   thread:set("number", #threads)
   table.insert(threads, thread)
end

function init(args)
   sale = args[1] or "demo"
   sku = args[2] or "phone"
   sent = 0
   body = string.format('{"lines":[{"sku":"%s","quantity":1}],"payload":{"note":"%s"}}', sku, string.rep("x", 89))
   path = "/v1/sales/" .. sale .. "/orders"
   codes = {}
end

function request()
   sent = sent + 1
   local name = string.format("wrk-%d-%d-%d", started, number, sent)
   return wrk.format("POST", path, {
      ["Content-Type"] = "application/json",
      ["X-Buyer-Id"] = name,
      ["Idempotency-Key"] = name,
   }, body)
end

function response(status)
   codes[status] = (codes[status] or 0) + 1
   -- Threads share no memory: each keeps its counts where `done` finds them.
   accepted, refused, limited, others = codes[202] or 0, codes[409] or 0, (codes[429] or 0) + (codes[503] or 0), 0
   for code, count in pairs(codes) do
      if code ~= 202 and code ~= 409 and code ~= 429 and code ~= 503 then others = others + count end
   end
end

function done()
   local sums = { accepted = 0, refused = 0, limited = 0, others = 0 }
   for _, thread in ipairs(threads) do
      for name in pairs(sums) do sums[name] = sums[name] + (thread:get(name) or 0) end
   end
   io.write(string.format("accepted 202: %d, refused 409: %d, later 429/503: %d, others: %d\n",
      sums.accepted, sums.refused, sums.limited, sums.others))
end
