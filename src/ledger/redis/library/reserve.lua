
-- ---- Reserve and cancel -----------------------------------------------------------------------------------------

-- Where an order stands, for its ticket: place 8, accepted at 8, state 1.
local function receipt(s, place, fresh)
  local at, state = fresh[place], QUEUED
  if not at then
    local bucket, field = bucket_of(s, place)
    local ended = call('HGET', bucket, field)
    if ended then
      state, at = byte(ended, 1), s.m.made + unpack_bytes('>I6', ended, 5)
    else
      local id = id_of(place)
      local entry = call('XRANGE', s.q, id, id)[1]
      if not entry then return nil end
      at = unpack_bytes('>I8', entry[2][2])
      local tries = call('HGET', s.base .. 'a', place)
      if tries then state = byte(tries, 1) end
    end
  end
  return place .. pack('>I8B', at, state)
end

-- Each order: key 8, body 8, then as in `q` without the time: buyer's hash 8, lines, name, payload.
local function read_order(arg)
  local lines = byte(arg, 25)
  local name_at = 26 + 6 * lines
  local length = byte(arg, name_at)
  local order = {
    key = sub(arg, 1, 8), body = sub(arg, 9, 16), hash = sub(arg, 17, 24), kept = sub(arg, 17),
    name = sub(arg, name_at + 1, name_at + length), payload = #arg - name_at - length, units = 0,
  }
  for k = 0, lines - 1 do
    local item, quantity = unpack_bytes('>I2I4', arg, 26 + 6 * k)
    order[k + 1] = { item, quantity }
    order.units = order.units + quantity
  end
  return order
end

local function phase(s)
  local m, at = s.m, s.at
  if m.closed == '1' or (m.closes ~= '' and at >= tonumber(m.closes)) then return 'C' end
  if m.paused == '1' then return 'P' end
  if m.opens ~= '' and at < tonumber(m.opens) then return 'N' .. m.opens end
  if at < m.hold then return 'H' end
  return nil
end

local function known_order(buyer, key)
  local orders = buyer.orders
  for p = 1, #orders, 24 do
    if sub(orders, p, p + 7) == key then return p end
  end
  return nil
end

local function refusal(s, order, buyer, phase_now, bound)
  local m = s.m
  if phase_now then return phase_now end
  if m.limit ~= '' and buyer.units + order.units > tonumber(m.limit) then return 'L' end
  for k = 1, #order do
    local line = order[k]
    if line[1] >= m.ni then return 'U' end
    if item_of(s, line[1]).a < line[2] then return 'S' end
  end
  if m.c0 + m.c1 >= bound.orders or m.by + order.payload > bound.bytes then return 'F' end
  return nil
end

local function admit(s, order, buyer)
  local m = s.m
  m.seq = m.seq + 1
  local place = pack('>I2I6', m.ep, m.seq)
  if buyer.orders == '' then m.nb = m.nb + 1 end
  buyer.orders, buyer.dirty = buyer.orders .. order.key .. order.body .. place, true
  buyer.units = buyer.units + order.units
  for k = 1, #order do
    local line = order[k]
    local item = item_of(s, line[1])
    item.a, item.h, item.dirty = item.a - line[2], item.h + line[2], true
    if item.a == 0 then
      item.g = item.g + 1
      s.levels[line[1]] = true
    end
  end
  m.c0, m.by = m.c0 + 1, m.by + order.payload
  local admitted = s.admitted
  if #admitted == 0 then admitted[1] = place end
  admitted[#admitted + 1] = order.hash
  return place
end

-- The buyers and items of a batch, each read once.
local function prefetch(s, orders)
  local names, items, item_fields = {}, {}, {}
  for k = 1, #orders do
    local name = orders[k].name
    if not s.buyers[name] then
      s.buyers[name] = true
      names[#names + 1] = name
    end
    for line = 1, #orders[k] do
      local index = orders[k][line][1]
      if not s.items[index] and index < s.m.ni then
        s.items[index] = true
        items[#items + 1] = index
        put(item_fields, 'a' .. index, 'h' .. index, 's' .. index, 'g' .. index)
      end
    end
  end
  local raws = call('HMGET', s.base .. 'b', unpack(names))
  for k = 1, #names do
    local raw = raws[k]
    s.buyers[names[k]] = raw and { units = unpack_bytes('>I6', raw), orders = sub(raw, 7) } or { units = 0, orders = '' }
  end
  if #items == 0 then return end
  local values = call('HMGET', s.key, unpack(item_fields))
  for k = 1, #items do
    local v = 4 * k - 3
    s.items[items[k]] =
      { a = tonumber(values[v]), h = tonumber(values[v + 1]), s = tonumber(values[v + 2]), g = tonumber(values[v + 3]) }
  end
end

-- ARGV: fence, most orders that may wait, most bytes of their payloads, the orders.
-- Answers: epoch, time, and for each order its sequence, or why not; with R and L a receipt.
-- A replay makes a write, so that WAIT on the same connection covers the order that it answers.
local function reserve(keys, args)
  local s, bad = begin(keys, args)
  bad = bad or whole(s)
  if bad then return bad end
  local m, orders = s.m, {}
  for k = 4, #args do orders[k - 3] = read_order(args[k]) end
  local answers = { m.ep, s.at }
  if m.purged ~= '' then
    for k = 1, #orders do answers[k + 2] = 'U' end
    return answers
  end
  prefetch(s, orders)
  local bound, phase_now = { orders = tonumber(args[2]), bytes = tonumber(args[3]) }, phase(s)
  local fresh, replays, adds = {}, {}, {}
  for k = 1, #orders do
    local order = orders[k]
    local buyer = s.buyers[order.name]
    local known = known_order(buyer, order.key)
    if known then
      if sub(buyer.orders, known + 8, known + 15) == order.body then
        replays[#replays + 1] = { k + 2, 'R', sub(buyer.orders, known + 16, known + 23) }
      else
        answers[k + 2] = 'K'
      end
    else
      local why = refusal(s, order, buyer, phase_now, bound)
      if why then
        answers[k + 2] = why
        if why == 'L' and buyer.orders ~= '' then
          replays[#replays + 1] = { k + 2, 'L', sub(buyer.orders, -8) }
        end
      else
        fresh[admit(s, order, buyer)] = s.at
        adds[#adds + 1] = order.kept
        answers[k + 2] = m.seq
      end
    end
  end
  if #adds > 0 then
    local first, at = m.seq - #adds, pack('>I8', s.at)
    for k = 1, #adds do call('XADD', s.q, fmt('%d-%d', m.ep, first + k), 'o', at .. adds[k]) end
    flush(s)
  elseif #replays > 0 then
    call('HSET', s.key, 'replayed', s.at)
  end
  for k = 1, #replays do
    local replay = replays[k]
    answers[replay[1]] = replay[2] .. (receipt(s, replay[3], fresh) or '')
  end
  return answers
end

-- ARGV: fence, places. Answers for each: D done, T too late, U unknown.
local function cancel(keys, args)
  local s, bad = begin(keys, args)
  bad = bad or whole(s)
  if bad then return bad end
  local answers, m, done = {}, s.m, {}
  for k = 2, #args do
    local place = args[k]
    local epoch, sequence = unpack_bytes('>I2I6', place)
    local bucket, field = bucket_of(s, place)
    local ended = call('HGET', bucket, field)
    if m.purged ~= '' or not is_there(m, epoch, sequence) then
      answers[k - 1] = 'U'
    elseif done[place] or (ended and byte(ended, 1) == CANCELLED) then
      answers[k - 1] = 'D'
    elseif ended or epoch ~= m.ep or call('HEXISTS', s.base .. 'a', place) == 1 then
      answers[k - 1] = 'T'
    else
      local id = id_of(place)
      finish(s, place, nil, call('XRANGE', s.q, id, id)[1][2][2], CANCELLED, '')
      answers[k - 1], done[place] = 'D', true
    end
  end
  if s.dirty then flush(s) end
  return answers
end
