
-- ---- Reserve and cancel -----------------------------------------------------------------------------------------

-- Where an order stands, for its ticket: place 8, accepted at 8, state 1.
local function receipt(s, place, fresh)
  local at, state = fresh[place], QUEUED
  if not at then
    local bucket, field = bucket_of(s, unpack_bytes('>I2I6', place))
    local ended = call('HGET', bucket, field)
    if ended then
      state, at = byte(ended, 1), s.m.made + unpack_bytes('>I6', ended, 5)
    else
      local tries = call('HGET', s.base .. 'a', place)
      if tries then
        local t = tries_of(tries)
        state, at = t.state, unpack_bytes('>I8', t.order)
      else
        local index = index_of(s, unpack_bytes('>I2I6', place))
        local order = index and call('LINDEX', s.q, index - s.m.cur)
        if not order then return '' end
        at = unpack_bytes('>I8', order)
      end
    end
  end
  return place .. pack('>I8B', at, state)
end

local function phase(s)
  local m, at = s.m, s.at
  if m.closed == '1' or (m.closes ~= '' and at >= tonumber(m.closes)) then return 'C' end
  if m.paused == '1' then return 'P' end
  if m.opens ~= '' and at < tonumber(m.opens) then return 'N' .. m.opens end
  if m.rec == '1' then return 'H' end
  return nil
end

-- The order that a buyer placed with this key: where its 24 bytes begin.
local function known_order(orders, key)
  for p = 7, #orders, 24 do
    if sub(orders, p, p + 7) == key then return p end
  end
  return nil
end

-- The buyers of a batch and the items of its orders, each read once. A buyer's value is as in `b`, '' for a new one.
local function prefetch(s, args, names)
  local wanted, fields, items = {}, {}, {}
  for k = 4, #args, 3 do
    local name, order = args[k + 1], args[k + 2]
    if names[name] == nil then
      names[name] = ''
      wanted[#wanted + 1] = name
    end
    for line = 1, byte(order, 1) do
      local index = unpack_bytes('>I2', order, 6 * line - 4)
      if not s.items[index] and index < s.m.ni then
        s.items[index] = true
        items[#items + 1] = index
        put(fields, 'a' .. index, 'h' .. index)
        put(fields, 's' .. index, 'g' .. index)
      end
    end
  end
  local raws = call('HMGET', s.base .. 'b', unpack(wanted))
  for k = 1, #wanted do
    if raws[k] then names[wanted[k]] = raws[k] end
  end
  if #items == 0 then return end
  local values = call('HMGET', s.key, unpack(fields))
  for k = 1, #items do
    s.items[items[k]] = item_from(values, 4 * k - 3)
  end
end

-- Why an order is not taken, or nil and its units.
local function refusal(s, units_held, order, payload, limit, bound)
  local m, units, lines = s.m, 0, byte(order, 1)
  for k = 1, lines do
    units = units + unpack_bytes('>I4', order, 6 * k - 2)
  end
  if limit and units_held + units > limit then return 'L' end
  for k = 1, lines do
    local index, quantity = unpack_bytes('>I2I4', order, 6 * k - 4)
    if index >= m.ni then return 'U' end
    if s.items[index].a < quantity then return 'S' end
  end
  if m.c0 + m.c1 >= bound.orders or m.by + payload > bound.bytes then return 'F' end
  return nil, units
end

-- Holds the units of an order without its time; its items are read already.
local function take_stock(s, order)
  for k = 1, byte(order, 1) do
    local index, quantity = unpack_bytes('>I2I4', order, 6 * k - 4)
    local item = s.items[index]
    item.a, item.h, item.dirty = item.a - quantity, item.h + quantity, true
    if item.a == 0 then
      item.g = item.g + 1
      s.levels[index] = true
    end
  end
end

-- ARGV: fence, most orders that may wait, most bytes of their payloads, then for each order: key 8, body 8 and
-- buyer's hash 8; the buyer; the order as it is kept, without its time: lines, name, payload.
-- Answers: epoch, time, and for each order its sequence, or why not; with R and L a receipt.
-- A replay makes a write, so that WAIT on the same connection covers the order that it answers.
local function reserve(keys, args)
  local s, bad = begin_whole(keys, args)
  if bad then return bad end
  local m, answers, names = s.m, {}, {}
  answers[1], answers[2] = m.ep, s.at
  if m.purged ~= '' then
    for k = 4, #args, 3 do answers[(k - 4) / 3 + 3] = 'U' end
    return answers
  end
  prefetch(s, args, names)
  local bound, phase_now = { orders = tonumber(args[2]), bytes = tonumber(args[3]) }, phase(s)
  local limit, epoch, accepted_at = tonumber(m.limit), pack('>I2', m.ep), pack('>I8', s.at)
  local fresh, replays, adds, changed, admitted = {}, {}, {}, {}, s.admitted
  for k = 4, #args, 3 do
    local key, name, order = args[k], args[k + 1], args[k + 2]
    local held, answer = names[name], nil
    local known = held ~= '' and known_order(held, sub(key, 1, 8))
    if known then
      if sub(held, known + 8, known + 15) == sub(key, 9, 16) then
        replays[#replays + 1] = { (k - 4) / 3 + 3, 'R', sub(held, known + 16, known + 23) }
      else
        answer = 'K'
      end
    elseif phase_now then
      answer = phase_now
    else
      local length_at = 2 + 6 * byte(order, 1)
      local payload = #order - length_at - byte(order, length_at)
      local units_held = held == '' and 0 or unpack_bytes('>I6', held)
      local why, units = refusal(s, units_held, order, payload, limit, bound)
      if why then
        answer = why
        if why == 'L' and held ~= '' then
          replays[#replays + 1] = { (k - 4) / 3 + 3, 'L', sub(held, -8) }
        end
      else
        take_stock(s, order)
        m.seq, m.c0, m.by = m.seq + 1, m.c0 + 1, m.by + payload
        local place = epoch .. pack('>I6', m.seq)
        if held == '' then m.nb = m.nb + 1 end
        if #adds == 0 then admitted[1] = place end
        fresh[place] = s.at
        adds[#adds + 1] = accepted_at .. order
        admitted[#admitted + 1] = sub(key, 17, 24)
        names[name] = pack('>I6', units_held + units) .. sub(held, 7) .. sub(key, 1, 16) .. place
        changed[name] = true
        answer = m.seq
      end
    end
    answers[(k - 4) / 3 + 3] = answer
  end
  if #adds > 0 then
    call('RPUSH', s.q, unpack(adds))
    local buyers, n = {}, 0
    for name in pairs(changed) do
      buyers[n + 1], buyers[n + 2], n = name, names[name], n + 2
    end
    call('HSET', s.base .. 'b', unpack(buyers))
    flush(s)
  elseif #replays > 0 then
    call('HSET', s.key, 'replayed', s.at)
  end
  for k = 1, #replays do
    local replay = replays[k]
    answers[replay[1]] = replay[2] .. receipt(s, replay[3], fresh)
  end
  return answers
end

-- ARGV: fence, places. Answers for each: D done, T too late, U unknown.
local function cancel(keys, args)
  local s, bad = begin_whole(keys, args)
  if bad then return bad end
  local answers, m, done = {}, s.m, {}
  for k = 2, #args do
    local place = args[k]
    local epoch, sequence = unpack_bytes('>I2I6', place)
    local bucket, field = bucket_of(s, epoch, sequence)
    local ended, index = call('HGET', bucket, field), index_of(s, epoch, sequence)
    if m.purged ~= '' or not index then
      answers[k - 1] = 'U'
    elseif done[place] or (ended and byte(ended, 1) == CANCELLED) then
      answers[k - 1] = 'D'
    elseif ended or epoch ~= m.ep or call('HEXISTS', s.base .. 'a', place) == 1 then
      answers[k - 1] = 'T'
    else
      finish(s, place, nil, call('LINDEX', s.q, index - m.cur), CANCELLED, '')
      answers[k - 1], done[place] = 'D', true
    end
  end
  if s.dirty then flush(s) end
  return answers
end
