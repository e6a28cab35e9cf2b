
-- ---- Epochs -----------------------------------------------------------------------------------------------------

-- The server is another one than before, so something that was acknowledged may be missing: a new epoch begins, and
-- the sale is on hold while gateways bring back what they remember. ARGV: the new run id, the highest epoch that the
-- caller knows of, microseconds of the hold. Whoever comes first does it. Answers the epoch in force (0 when there is
-- no sale), 1 while on hold, the epoch that ended, and the first sequence of it that may be missing.
local function adopt(keys, args)
  local run, at = enter(args[1])
  local m = call('HMGET', keys[1], 'v', 'run', 'ep', 'spans', 'evn', 'rec', 'rep', 'rnext', 'seq', 'purged', 'ask')
  -- Registered, and not made yet.
  if not m[1] then return { 0, 0, 0, 0 } end
  if m[1] ~= FORMAT then return redis.error_reply('-FORMAT the sale has the format ' .. m[1]) end
  if m[2] == run then
    return { tonumber(m[3]), m[6] == '1' and 1 or 0, tonumber(m[7] or 0), tonumber(m[8] or 0) }
  end
  local counts, first = call('HMGET', keys[1], unpack(COUNTS)), 0
  for k = 1, #COUNTS do first = first + (tonumber(counts[k]) or 0) end
  local epoch, evn = math.max(tonumber(m[3]), tonumber(args[2])) + 1, tonumber(m[5]) + 1
  local spans = {}
  for span, begins in string.gmatch(m[4], '(%d+):(%d+)') do
    if tonumber(begins) < first then spans[#spans + 1] = span .. ':' .. begins end
  end
  spans[#spans + 1] = fmt('%d:%d', epoch, first)
  -- A hold that was not over goes on with what it had.
  local ended, missing = tonumber(m[3]), tonumber(m[9]) + 1
  if m[6] == '1' then ended, missing = tonumber(m[7]), tonumber(m[8]) end
  local hold, held = at + tonumber(args[3]), m[10] == '' and '1' or ''
  local ask = m[6] == '1' and tonumber(m[11]) == FOREVER and FOREVER or at + ASK_HOLDS * tonumber(args[3])
  call('HSET', keys[1], 'run', run, 'ep', epoch, 'seq', 0, 'ls', 0, 'spans', concat(spans, ','), 'hold', hold, 'ask', fmt('%.0f', ask),
    'evn', evn, 'rec', held, 'rep', ended, 'rnext', missing)
  call('XADD', sub(keys[1], 1, -2) .. 'ev', fmt('%d-%d', epoch, evn), 'e', fmt('%d:%d', epoch, first))
  return { epoch, held == '1' and 1 or 0, ended, missing }
end

-- Keeps an order until the hold ends, unless somebody brought it before; answers whether nobody had. A store knows no
-- keys: what a gateway remembers takes the place of what only the store has.
local function bring(s, place, record)
  local known = call('HGET', s.base .. 'r', place)
  if known and sub(known, 9, 24) ~= NO_KEY then return false end
  call('HSET', s.base .. 'r', place, record)
  if known then return false end
  call('ZADD', s.base .. 'rz', 0, place)
  return true
end

-- Orders of ended epochs that a gateway remembers. ARGV: fence, then for each: place; accepted at 8, key 8, body 8,
-- and the order without its time. Answers how many were new.
local function bring_back(keys, args)
  local s, bad = begin_whole(keys, args)
  if bad then return bad end
  local new = 0
  if s.m.rec ~= '1' then return 0 end
  for k = 2, #args, 2 do
    local epoch, sequence = unpack_bytes('>I2I6', args[k])
    if may_be_missing(s.m, epoch, sequence) and bring(s, args[k], args[k + 1]) then new = new + 1 end
  end
  return new
end

-- What the store has of orders that may be missing: more than a gateway can remember of them. ARGV: fence, 1 when that
-- is all of it, then for each: place; what `bring_back` takes; state 1, instant of the attempt 8, the shop's number or a
-- reason. Answers how many the store decided.
local function answer_for(keys, args)
  local s, bad = begin_whole(keys, args)
  if bad then return bad end
  local decided = 0
  if s.m.rec ~= '1' then return 0 end
  for k = 3, #args, 3 do
    local epoch, sequence = unpack_bytes('>I2I6', args[k])
    if may_be_missing(s.m, epoch, sequence) then
      call('SADD', s.base .. 'rs', args[k] .. args[k + 2])
      bring(s, args[k], args[k + 1])
      decided = decided + 1
    end
  end
  if args[2] == '1' then call('HSET', s.key, 'ask', 0) end
  return decided
end

-- Orders that a gateway knows to be cancelled. ARGV: fence, then places.
local function bring_cancelled(keys, args)
  local s, bad = begin(keys, args)
  if bad then return bad end
  if s.m.rec == '1' then call('SADD', s.base .. 'rc', unpack(args, 2)) end
  return #args - 1
end

-- An order of which nobody knows more than that it was accepted, or one whose units are gone.
local function lose(s, place, kept)
  local epoch, sequence = unpack_bytes('>I2I6', place)
  local body = kept or string.char(0, 7) .. 'unknown'
  keep_end(s, epoch, sequence, pack('>BI2BI6BI2', LOST, 1, 0, 0, 2, 0) .. body .. string.char(8) .. 'failover')
  put(s.x_set, 0, place .. string.char(LOST))
  s.m.c8 = s.m.c8 + 1
  return ''
end

-- Takes an order back into the queue; answers what the queue gets for it.
local function take_back(s, place, brought)
  local m, kept = s.m, sub(brought, 25)
  local order = sub(brought, 1, 8) .. kept
  local name_at, name_end = name_of(order)
  local body = sub(order, 9, name_end)
  -- A sale that was rebuilt may have an end of it from before.
  call('HDEL', bucket_of(s, unpack_bytes('>I2I6', place)))
  local buyer, units = buyer_of(s, sub(order, name_at, name_end)), 0
  for k = 1, byte(order, 9) do
    local index, quantity = unpack_bytes('>I2I4', order, 4 + 6 * k)
    units = units + quantity
    if index >= m.ni or item_of(s, index).a < quantity then return lose(s, place, body) end
  end
  take_stock(s, kept)
  if buyer.orders == '' then m.nb = m.nb + 1 end
  buyer.orders, buyer.units, buyer.dirty = buyer.orders .. sub(brought, 9, 24) .. place, buyer.units + units, true
  m.c0, m.by = m.c0 + 1, m.by + #order - name_end
  return order
end

-- The epoch whose orders come back begins here, unless it began before; the one in force stays the last.
local function begin_span(m)
  if not string.find(',' .. m.spans, fmt(',%d:', m.rep), 1, true) then
    m.spans = string.gsub(m.spans, '%d+:%d+$', fmt('%d:%d,%%0', m.rep, accepted(m)))
  end
end

-- An order that came back ends as the store has decided.
local function end_as_decided(s, place, order, answer)
  local state, attempted = unpack_bytes('>BI8', answer, 9)
  local t = { state = QUEUED, version = 1, attempts = 0, attempted = attempted, lease = 0, count = 0, notes = '' }
  finish(s, place, t, order, state, cut(sub(answer, 18)))
end

local function end_as_cancelled(s, place, order)
  finish(s, place, nil, order, CANCELLED, '')
end

-- Ends orders that came back and of which more is known, a few hundred at a time; what is known of each begins with its
-- place. Answers false when nothing was left.
local function end_some(s, key, how)
  local some = call('SRANDMEMBER', s.base .. key, 200)
  if #some == 0 then return false end
  for _, known in ipairs(some) do
    local place = sub(known, 1, 8)
    local index = index_of(s, unpack_bytes('>I2I6', place))
    local order = index and index >= s.m.cur and call('LINDEX', s.q, index - s.m.cur)
    if order and order ~= '' then how(s, place, order, known) end
  end
  call('SREM', s.base .. key, unpack(some))
  if s.dirty then flush(s) end
  return true
end

-- Ends a hold that is over and for which the store has answered, a few hundred orders at a time: what was brought back
-- goes into the queue at its own place, what is missing between is lost. ARGV: fence. Answers microseconds until it is to
-- be called again, -1 when done.
local function end_hold(keys, args)
  local s, bad = begin_whole(keys, args)
  if bad then return bad end
  local m, base = s.m, s.base
  if m.rec ~= '1' then return -1 end
  if s.at < m.hold then return m.hold - s.at end
  if s.at < m.ask then return HOLD_LOOK end
  local brought, queued, gone = call('ZRANGEBYLEX', base .. 'rz', '-', '+', 'LIMIT', 0, 200), {}, {}
  local steps = 0
  for _, place in ipairs(brought) do
    local epoch, sequence = unpack_bytes('>I2I6', place)
    if epoch > m.rep then m.rep, m.rnext = epoch, 1 end
    begin_span(m)
    while m.rnext < sequence and steps < 500 do
      put(queued, lose(s, pack('>I2I6', m.rep, m.rnext)))
      m.rnext, steps = m.rnext + 1, steps + 1
    end
    if m.rnext < sequence then break end
    put(queued, take_back(s, place, call('HGET', base .. 'r', place)))
    put(gone, place)
    m.rnext, steps = m.rnext + 1, steps + 1
  end
  if #queued > 0 then
    call('RPUSH', s.q, unpack(queued))
    if #gone > 0 then
      call('ZREM', base .. 'rz', unpack(gone))
      call('HDEL', base .. 'r', unpack(gone))
    end
    -- The new epoch begins behind them.
    call('HSET', s.key, 'spans', (string.gsub(m.spans, '%d+$', fmt('%d', accepted(m)))))
    flush(s)
    return 0
  end
  if end_some(s, 'rs', end_as_decided) or end_some(s, 'rc', end_as_cancelled) then return 0 end
  m.evn = m.evn + 1
  call('HSET', s.key, 'rec', '', 'evn', m.evn)
  call('XADD', base .. 'ev', fmt('%d-%d', m.ep, m.evn), 'e', fmt('%d:%d', m.ep, accepted(m)))
  return -1
end
