
-- ---- Reads ------------------------------------------------------------------------------------------------------

-- When the oldest order was accepted that waits: queued, or come back. It is the first of `q` that is neither under
-- a lease nor dead; beyond so many of those, the first that was never claimed.
local function oldest(s)
  local m, after = s.m, '-'
  if m.c0 + m.c1 == 0 then return 0 end
  for _ = 1, 10 do
    local page = call('XRANGE', s.q, after, '+', 'COUNT', 100)
    if #page == 0 then return 0 end
    local places = {}
    for k = 1, #page do places[k] = place_of(page[k][1]) end
    local tries = call('HMGET', s.base .. 'a', unpack(places))
    for k = 1, #page do
      local t = tries[k] and tries_of(tries[k])
      if not t or (t.state == PLACING and t.lease == 0) then return unpack_bytes('>I8', page[k][2][2]) end
    end
    after = '(' .. page[#page][1]
  end
  if m.c0 == 0 then return 0 end
  local first = call('XRANGE', s.q, m.cur == '' and '-' or '(' .. m.cur, '+', 'COUNT', 1)[1]
  return first and unpack_bytes('>I8', first[2][2]) or 0
end

-- ARGV: fence. Answers the time, since when the oldest order waits or 0, and all of `m`; nothing when there is no
-- such sale.
local function census(keys, args)
  if call('EXISTS', keys[1]) == 0 then return {} end
  local s, bad = begin(keys, args)
  if bad then return bad end
  local waits_since = s.m.purged == '' and oldest(s) or 0
  return { s.at, waits_since, call('HGETALL', s.key) }
end

-- ARGV: fence, places. Answers for each what there is: of `q`, of `a`, of `t`, of `n`, each '' when it is not there;
-- all four are '' for an order that was never admitted.
local function orders(keys, args)
  local s, bad = begin(keys, args)
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
    local tries = call('HMGET', s.base .. 'a', unpack(open))
    local of = {}
    for k, place in ipairs(open) do of[place] = tries[k] or '' end
    local kept = orders_of(s, open)
    for k = 2, #args do
      local order = kept[args[k]]
      if order then reply[4 * (k - 2) + 1], reply[4 * (k - 2) + 2] = order, of[args[k]] end
    end
  end
  return reply
end

-- ARGV: fence, first place, how many. Answers the places of dead orders.
local function dead(keys, args)
  local s, bad = begin(keys, args)
  if bad then return bad end
  return call('ZRANGEBYLEX', s.base .. 'dead', '[' .. args[2], '+', 'LIMIT', 0, args[3])
end

-- What a gateway remembers, but for the buyers. ARGV: fence. Answers the time, number of the newest entry of the tail,
-- the cursor, all of `m`, the claimed orders, the dead ones, and those that ended beyond the cursor.
local function snapshot(keys, args)
  if call('EXISTS', keys[1]) == 0 then return {} end
  local s, bad = begin(keys, args)
  if bad then return bad end
  local base = s.base
  return {
    s.at, s.m.evn, s.m.cur, call('HGETALL', s.key), call('ZRANGE', base .. 'due', 0, -1),
    call('ZRANGE', base .. 'dead', 0, -1), call('ZRANGE', base .. 'x', 0, -1),
  }
end

-- Buyers who hold tickets, page by page. ARGV: fence, cursor. Answers the next cursor and names.
local function buyers(keys, args)
  local s, bad = begin(keys, args)
  if bad then return bad end
  local page = call('HSCAN', s.base .. 'b', args[2], 'COUNT', 1000)
  local names = {}
  for k = 1, #page[2], 2 do names[#names + 1] = page[2][k] end
  return { page[1], names }
end
