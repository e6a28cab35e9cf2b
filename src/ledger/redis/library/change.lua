
-- ---- Terms, switches, stock, dead orders ------------------------------------------------------------------------

-- The sale as it is now, for the tail: all of `m`, fields and values in turn.
local function tell_sale(s)
  local text = packed(call('HGETALL', s.key))
  s.m.evn = s.m.evn + 1
  call('HSET', s.key, 'evn', s.m.evn)
  call('XADD', s.base .. 'ev', fmt('%d-%d', s.m.ep, s.m.evn), 's', text, 'at', s.at)
end

-- An item of which all units are there.
local function new_item(key, index, sku, stock)
  call('HSET', key, 'k' .. index, sku, 'i' .. index, stock, '+' .. index, 0, '-' .. index, 0, 'a' .. index, stock,
    'h' .. index, 0, 's' .. index, 0, 'g' .. index, 1)
end

-- A sale without items and orders. `said`: number, name, key id, terms, opens, closes, limit.
local function new_sale(key, run, at, said)
  call('HSET', key, 'v', FORMAT, 'run', run, 'ep', 1, 'seq', 0, 'spans', '1:0', 'cur', 0, 'no', said[1], 'name', said[2],
    'key', said[3], 'made', at, 'touched', at, 'terms', said[4], 'opens', said[5], 'closes', said[6], 'limit', said[7],
    'loose', said[7], 'paused', '0', 'closed', '0', 'purged', '', 'rec', '', 'rev', 1, 'evn', 0, 'nm', 0)
end

local function add_items(s, first, args, from)
  local index = first
  for k = from, #args, 2 do
    local sku, stock = args[k], args[k + 1]
    new_item(s.key, index, sku, stock)
    call('RPUSH', s.base .. 'mv', fmt('%d 1 %s', index, stock))
    index = index + 1
  end
  call('HSET', s.key, 'ni', index, 'nm', s.m.nm + index - first)
end

-- Makes a sale, or amends one. ARGV: fence, 1 if only a new one, number, name, key id, terms, opens, closes, limit,
-- then sku and stock of each item; a stock may be '' where the item is known. The epoch of a new sale is 1.
local function put_sale(keys, args)
  local exists = call('EXISTS', keys[1])
  if exists == 0 then
    local run, at = enter(args[1])
    for k = 11, #args, 2 do
      if args[k] == '' then return { 'conflict', 'stock_missing', args[k - 1] } end
    end
    local base = sub(keys[1], 1, -2)
    for _, key in ipairs({ 'b', 'q', 'due', 'a', 'dead', 'x', 'n', 'ev', 'ops', 'mv' }) do
      if call('EXISTS', base .. key) == 1 then return broken(key .. ' is there although the sale is not') end
    end
    new_sale(keys[1], run, at, { unpack(args, 3, 9) })
    local s = { key = keys[1], base = base, at = at, m = { ep = 1, evn = 0, nm = 0 } }
    add_items(s, 0, args, 10)
    tell_sale(s)
    return { 'created' }
  end
  local s, bad = begin(keys, args)
  if bad then return bad end
  local m = s.m
  if args[2] == '1' then return { 'same' } end
  if m.purged ~= '' then return { 'conflict', 'purged', '' } end
  local stated, stock, new = {}, {}, {}
  for k = 10, #args, 2 do stated[args[k]], stock[args[k]] = true, args[k + 1] end
  for index = 0, m.ni - 1 do
    local known = call('HMGET', s.key, 'k' .. index, 'i' .. index)
    local sku = known[1]
    if not stated[sku] then return { 'conflict', 'sku_removed', sku } end
    if stock[sku] ~= '' and stock[sku] ~= known[2] then return { 'conflict', 'stock_fixed', sku, known[2] } end
    stated[sku] = false
  end
  for k = 10, #args, 2 do
    if stated[args[k]] then
      if args[k + 1] == '' then return { 'conflict', 'stock_missing', args[k] } end
      put(new, args[k], args[k + 1])
    end
  end
  local later = args[8] ~= '' and tonumber(args[8]) > s.at and args[8] ~= m.closes
  local closed = (m.closed == '1' and not later) and '1' or '0'
  local held = call('HMGET', s.key, 'terms', 'loose')
  if #new == 0 and args[6] == held[1] and closed == m.closed then return { 'same' } end
  local loose = held[2]
  if args[9] == '' or (loose ~= '' and tonumber(args[9]) > tonumber(loose)) then loose = args[9] end
  call('HSET', s.key, 'terms', args[6], 'opens', args[7], 'closes', args[8], 'limit', args[9], 'loose', loose,
    'closed', closed, 'rev', m.rev + 1, 'touched', s.at)
  if #new > 0 then add_items(s, m.ni, new, 1) end
  tell_sale(s)
  return { 'changed' }
end

-- ARGV: fence, what: pause, resume or close.
local function switch(keys, args)
  local s, bad = begin(keys, args)
  if bad then return bad end
  local m, paused, closed = s.m, s.m.paused, s.m.closed
  if m.purged ~= '' then return { 'conflict', 'purged', '' } end
  if args[2] == 'pause' then paused = '1' elseif args[2] == 'resume' then paused = '0' else closed = '1' end
  if paused == m.paused and closed == m.closed then return { 'same' } end
  call('HSET', s.key, 'paused', paused, 'closed', closed, 'rev', m.rev + 1, 'touched', s.at)
  tell_sale(s)
  return { 'changed' }
end

-- ARGV: fence, sku, delta, operation.
local function stock(keys, args)
  local s, bad = begin_whole(keys, args)
  if bad then return bad end
  local m, delta = s.m, tonumber(args[3])
  if m.purged ~= '' then return { 'conflict', 'purged', '' } end
  local index
  for k = 0, m.ni - 1 do
    if call('HGET', s.key, 'k' .. k) == args[2] then index = k end
  end
  if not index then return { 'missing' } end
  local known = call('HGET', s.base .. 'ops', args[4])
  if known then
    if known == fmt('%d %.0f', index, delta) then return { 'same' } end
    return { 'conflict', 'operation_reused', '' }
  end
  local v = call('HMGET', s.key, 'i' .. index, '+' .. index, '-' .. index)
  local item = item_of(s, index)
  local initial, added, less = tonumber(v[1]), tonumber(v[2]), tonumber(v[3])
  if delta == 0 or math.abs(delta) > 9007199254740992 then return { 'conflict', 'bad_delta', '' } end
  if delta < 0 and -delta > item.a then return { 'conflict', 'below_available', fmt('%.0f', item.a) } end
  if delta > 0 and initial + added + delta > 9007199254740992 then return { 'conflict', 'bad_delta', 'total' } end
  local before = item.a
  item.a, item.dirty = item.a + delta, true
  if delta > 0 then added = added + delta else less = less - delta end
  if (before == 0) ~= (item.a == 0) then
    item.g = item.g + 1
    s.levels[index] = true
  end
  call('HSET', s.base .. 'ops', args[4], fmt('%d %.0f', index, delta))
  call('RPUSH', s.base .. 'mv', fmt('%d 0 %.0f', index, delta))
  call('HSET', s.key, '+' .. index, added, '-' .. index, less, 'nm', m.nm + 1, 'rev', m.rev + 1)
  flush(s)
  tell_sale(s)
  return { 'changed' }
end

-- Dead orders go back. ARGV: fence, then places; none is all, at most 500 a call.
local function retry_dead(keys, args)
  local s, bad = begin_whole(keys, args)
  if bad then return bad end
  if s.m.purged ~= '' then return { 'conflict', 'purged', '' } end
  local places = {}
  if #args == 1 then
    places = call('ZRANGEBYLEX', s.base .. 'dead', '-', '+', 'LIMIT', 0, 500)
  else
    for k = 2, #args do
      local epoch, sequence = unpack_bytes('>I2I6', args[k])
      if not index_of(s, epoch, sequence) then return { 'missing' } end
      if call('ZSCORE', s.base .. 'dead', args[k]) then places[#places + 1] = args[k] end
    end
  end
  if #places == 0 then return { 'count', 0 } end
  local tries = call('HMGET', s.base .. 'a', unpack(places))
  for k, place in ipairs(places) do
    local t = tries_of(tries[k])
    t.state, t.version, t.attempts, t.unanswered, t.settled = PLACING, t.version + 1, 0, 0, 0
    put(s.dead_del, place)
    count(s.m, DEAD, PLACING, payload_of(t.order))
    waits(s, place, t, s.at)
    move(s, place, PLACING)
  end
  flush(s)
  return { 'count', #places }
end

-- A dead order ends. ARGV: fence, place, P or R, the shop's number or a reason.
local function end_dead(keys, args)
  local s, bad = begin_whole(keys, args)
  if bad then return bad end
  if s.m.purged ~= '' then return { 'conflict', 'purged', '' } end
  local place = args[2]
  local epoch, sequence = unpack_bytes('>I2I6', place)
  if not index_of(s, epoch, sequence) then return { 'missing' } end
  if not call('ZSCORE', s.base .. 'dead', place) then return { 'conflict', 'not_dead', '' } end
  local t = tries_of(call('HGET', s.base .. 'a', place))
  finish(s, place, t, t.order, args[3] == 'P' and PLACED or REFUSED, cut(args[4]))
  flush(s)
  return { 'count', 1 }
end

local function is_settled(s)
  local m = s.m
  local closed = m.closed == '1' or (m.closes ~= '' and s.at >= tonumber(m.closes))
  return closed and m.c0 + m.c1 + m.c7 == 0
end

-- Drops the sale's orders but for the outcomes, which `sweep` drops piece by piece.
local function drop(s)
  call('HSET', s.key, 'purged', s.at, 'touched', s.at, 'rev', s.m.rev + 1, 'swept', '0', 'nb', 0, 'by', 0)
  for _, key in ipairs({ 'b', 'q', 'due', 'a', 'dead', 'x', 'n', 'ops', 'mv', 'r', 'rz', 'rc', 'rs' }) do call('UNLINK', s.base .. key) end
  tell_sale(s)
  call('XTRIM', s.base .. 'ev', 'MAXLEN', 1)
end

-- ARGV: fence.
local function purge(keys, args)
  local s, bad = begin(keys, args)
  if bad then return bad end
  if s.m.purged ~= '' then return { 'same' } end
  if not is_settled(s) then return { 'conflict', 'not_settled', '' } end
  drop(s)
  return { 'changed' }
end

-- Purges what is past its retention. ARGV: fence, microseconds for tickets, for sales. Answers 0 nothing was done,
-- 1 purged, 2 to be forgotten.
local function retain(keys, args)
  local s, bad = begin(keys, args)
  if bad then return bad end
  local m = s.m
  if m.purged ~= '' then
    return s.at >= tonumber(m.purged) + tonumber(args[3]) and 2 or 0
  end
  local since = m.touched
  if m.closed ~= '1' and m.closes ~= '' then since = math.max(since, tonumber(m.closes)) end
  if is_settled(s) and s.at >= since + tonumber(args[2]) then
    drop(s)
    return 1
  end
  return 0
end

-- Drops outcomes of a purged sale, 1,000 keys a call. ARGV: fence. Answers how many are left, about.
local function sweep(keys, args)
  local s, bad = begin(keys, args)
  if bad then return bad end
  local m, left = s.m, 1000
  if m.purged == '' then return 0 end
  local swept = tonumber(call('HGET', s.key, 'swept')) or 0
  local spans, total, seen = spans_of(m), accepted(m), 0
  for k, span in ipairs(spans) do
    local count_of = (spans[k + 1] and spans[k + 1][2] or total) - span[2]
    for bucket = 0, math.floor(count_of / BUCKET) do
      if seen >= swept and left > 0 then
        call('UNLINK', fmt('%st:%d-%d', s.base, span[1], bucket))
        left, swept = left - 1, swept + 1
      end
      seen = seen + 1
    end
  end
  call('HSET', s.key, 'swept', swept)
  return seen - swept
end

-- Name and census go too. ARGV: fence.
local function forget(keys, args)
  local s, bad = begin(keys, args)
  if bad then return bad end
  if s.m.purged == '' then return 0 end
  call('DEL', s.key, s.base .. 'ev')
  return 1
end
