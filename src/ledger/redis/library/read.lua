
-- ---- Reads ------------------------------------------------------------------------------------------------------

-- When the oldest order was accepted that waits: come back (the first thousand are looked at), or never claimed.
local function oldest(s)
  local m, since = s.m, nil
  local back = call('ZRANGEBYSCORE', s.base .. 'due', 0, '+inf', 'LIMIT', 0, 1000)
  table.sort(back)
  if back[1] then since = unpack_bytes('>I8', tries_of(call('HGET', s.base .. 'a', back[1])).order) end
  if m.c0 > 0 then
    for _, order in ipairs(call('LRANGE', s.q, 0, 100)) do
      if order ~= '' then
        local first = unpack_bytes('>I8', order)
        return since and math.min(since, first) or first
      end
    end
  end
  return since or 0
end

-- ARGV: fence. Answers the time, since when the oldest order waits or 0, and all of `m`; nothing when there is no
-- such sale.
local function census(keys, args)
  if call('EXISTS', keys[1]) == 0 then return {} end
  local s, bad = begin(keys, args, true)
  if bad then return bad end
  local waits_since = s.m.purged == '' and oldest(s) or 0
  return { s.at, waits_since, call('HGETALL', s.key) }
end

-- Where epochs begin, and how many orders there are; nothing when there is no such sale or it was purged. ARGV: fence.
local function extent(keys, args)
  if call('EXISTS', keys[1]) == 0 then return {} end
  local s, bad = begin(keys, args, true)
  if bad then return bad end
  if s.m.purged ~= '' then return {} end
  return { s.m.spans, accepted(s.m) }
end

-- Orders of the queue by where they lie in it; neighbours are read together.
local function waiting_orders(s, wanted, of)
  table.sort(wanted, function(one, other) return one[1] < other[1] end)
  local k = 1
  while k <= #wanted do
    local first, last = wanted[k][1], k
    while wanted[last + 1] and wanted[last + 1][1] - wanted[last][1] <= 4 do last = last + 1 end
    local orders = call('LRANGE', s.q, first, wanted[last][1])
    for j = k, last do
      local order = orders[wanted[j][1] - first + 1]
      if order and order ~= '' then of[wanted[j][2]] = { order, '' } end
    end
    k = last + 1
  end
end

-- ARGV: fence, places. Answers for each what there is: of `q`, of `a`, of `t`, of `n`, each '' when it is not there;
-- all four are '' for an order that was never admitted, and the last is H for one that may be brought back yet.
local function orders(keys, args)
  local s, bad = begin(keys, args, true)
  if bad then return bad end
  local reply, open, buckets = {}, {}, {}
  for k = 2, #args do
    local bucket, field = bucket_of(s, unpack_bytes('>I2I6', args[k]))
    buckets[bucket] = buckets[bucket] or { fields = {}, at = {} }
    put(buckets[bucket].fields, field)
    put(buckets[bucket].at, k)
    local r = 4 * (k - 2)
    reply[r + 1], reply[r + 2], reply[r + 3], reply[r + 4] = '', '', '', ''
  end
  for bucket, wanted in pairs(buckets) do
    local records = call('HMGET', bucket, unpack(wanted.fields))
    for j, k in ipairs(wanted.at) do
      local record = records[j]
      if record then
        reply[4 * (k - 2) + 3] = record
        local sizes = byte(record, 11)
        local lines_at = 12 + math.floor(sizes / 16) + sizes % 16
        local length_at = lines_at + 1 + 6 * byte(record, lines_at)
        if byte(record, length_at + byte(record, length_at) + 1) == 255 then
          reply[4 * (k - 2) + 4] = call('HGET', s.base .. 'n', args[k]) or ''
        end
      else
        open[#open + 1] = args[k]
      end
    end
  end
  if #open > 0 then
    local tries, waiting, missing = call('HMGET', s.base .. 'a', unpack(open)), {}, {}
    local of = {}
    for k, place in ipairs(open) do
      if tries[k] then
        local t = tries_of(tries[k])
        of[place] = { t.order, sub(tries[k], 1, #tries[k] - #t.order) }
      else
        local epoch, sequence = unpack_bytes('>I2I6', place)
        local index = index_of(s, epoch, sequence)
        if index and index >= s.m.cur then
          waiting[#waiting + 1] = { index - s.m.cur, place }
        elseif not index and may_be_missing(s.m, epoch, sequence) then
          missing[place] = true
        end
      end
    end
    waiting_orders(s, waiting, of)
    for k = 2, #args do
      local order = of[args[k]]
      if order then reply[4 * (k - 2) + 1], reply[4 * (k - 2) + 2] = order[1], order[2] end
      if missing[args[k]] then reply[4 * (k - 2) + 4] = 'H' end
    end
  end
  return reply
end

-- ARGV: fence, first place, how many. Answers the places of dead orders.
local function dead(keys, args)
  local s, bad = begin(keys, args, true)
  if bad then return bad end
  return call('ZRANGEBYLEX', s.base .. 'dead', '[' .. args[2], '+', 'LIMIT', 0, args[3])
end

-- What a gateway remembers, but for the buyers. ARGV: fence. Answers the time, number of the newest entry of the tail,
-- how many orders left the queue's head, all of `m`, the claimed orders, the dead ones, and those that ended beyond the cursor.
local function snapshot(keys, args)
  if call('EXISTS', keys[1]) == 0 then return {} end
  local s, bad = begin(keys, args, true)
  if bad then return bad end
  local base = s.base
  return {
    s.at, s.m.evn, s.m.cur, call('HGETALL', s.key), call('ZRANGE', base .. 'due', 0, -1),
    call('ZRANGE', base .. 'dead', 0, -1), call('ZRANGE', base .. 'x', 0, -1),
  }
end

-- Buyers who hold tickets, page by page. ARGV: fence, cursor. Answers the next cursor and names.
local function buyers(keys, args)
  local s, bad = begin(keys, args, true)
  if bad then return bad end
  local page = call('HSCAN', s.base .. 'b', args[2], 'COUNT', 1000)
  local names = {}
  for k = 1, #page[2], 2 do names[#names + 1] = page[2][k] end
  return { page[1], names }
end
