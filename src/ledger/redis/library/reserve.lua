
-- ---- Reserve and cancel -----------------------------------------------------------------------------------------

-- Where an order stands, for its ticket: place 8, accepted at 8, state 1. What came after the sequence `before` was
-- accepted by this call.
local function receipt(s, place, before)
  local epoch, sequence = unpack_bytes('>I2I6', place)
  local at, state = s.at, QUEUED
  if epoch ~= s.m.ep or sequence <= before then
    local bucket, field = bucket_of(s, epoch, sequence)
    local ended = call('HGET', bucket, field)
    if ended then
      state, at = byte(ended, 1), s.m.made + unpack_bytes('>I6', ended, 5)
    else
      local tries = call('HGET', s.base .. 'a', place)
      if tries then
        local t = tries_of(tries)
        state, at = t.state, unpack_bytes('>I8', t.order)
      else
        local index = index_of(s, epoch, sequence)
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

-- The lines of an order without its time: item and quantity in turn, the units, and where the name's length stands.
local function lines_of(s, head, count)
  local lines, units = { name_at = 2 + 6 * count }, 0
  for line = 1, count do
    local index, quantity = unpack_bytes('>I2I4', head, 6 * line - 4)
    units = units + quantity
    put(lines, index, quantity)
    if not s.items[index] and index < s.m.ni then
      s.items[index] = true
      s.wanted[#s.wanted + 1] = index
    end
  end
  lines.units = units
  return lines
end

-- The buyers of a batch and the items of its orders, each read once. A buyer's value is as in `b`, '' for a new one.
-- Answers the lines of each order; most orders of a sale have the same, which are read once.
local function prefetch(s, args, held)
  local wanted, all, known, n = {}, {}, {}, 0
  s.wanted = {}
  for k = 4, #args, 3 do
    local name, order = args[k + 1], args[k + 2]
    if not held[name] then
      held[name], wanted[#wanted + 1] = '', name
    end
    local count = byte(order, 1)
    local head = sub(order, 1, 1 + 6 * count)
    local lines = known[head]
    if not lines then
      lines = lines_of(s, head, count)
      known[head] = lines
    end
    n = n + 1
    all[n] = lines
  end
  local raws = call('HMGET', s.base .. 'b', unpack(wanted))
  for k = 1, #wanted do
    if raws[k] then held[wanted[k]] = raws[k] end
  end
  local fields, items = {}, s.wanted
  if #items == 0 then return all end
  for k = 1, #items do
    local names = item_names(items[k])
    put(fields, names[1], names[2])
    put(fields, names[3], names[4])
  end
  local values = call('HMGET', s.key, unpack(fields))
  for k = 1, #items do
    s.items[items[k]] = item_from(values, 4 * k - 3)
  end
  return all
end

-- Why lines cannot be had, or nil.
local function lacking(lines, items, ni)
  for k = 1, #lines, 2 do
    local index, quantity = lines[k], lines[k + 1]
    if index >= ni then return 'U' end
    if items[index].a < quantity then return 'S' end
  end
  return nil
end

-- Holds the units of an order; its items are read already.
local function hold_units(s, lines, items)
  for k = 1, #lines, 2 do
    local index, quantity = lines[k], lines[k + 1]
    local item = items[index]
    local left = item.a - quantity
    item.a, item.h, item.dirty = left, item.h + quantity, true
    if left == 0 then
      item.g = item.g + 1
      s.levels[index] = true
    end
  end
end

-- The same for an order without its time, as it is kept.
local function take_stock(s, order)
  hold_units(s, lines_of(s, order, byte(order, 1)), s.items)
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
  local all = prefetch(s, args, names)
  local most_orders, most_bytes, phase_now = tonumber(args[2]), tonumber(args[3]), phase(s)
  local waiting, bytes, items, ni = m.c0 + m.c1, m.by, s.items, m.ni
  local limit, epoch, accepted_at = tonumber(m.limit), pack('>I2', m.ep), pack('>I8', s.at)
  -- `buyers` is what is written of them, and `at` where each one's value stands in it.
  local replays, adds, buyers, at, admitted, units_text = {}, {}, {}, {}, s.admitted, {}
  local before, taken, n = m.seq, 0, 2
  for k = 4, #args, 3 do
    local key, name, order = args[k], args[k + 1], args[k + 2]
    local held, answer = names[name], nil
    n = n + 1
    local known = held ~= '' and known_order(held, sub(key, 1, 8))
    if known then
      if sub(held, known + 8, known + 15) == sub(key, 9, 16) then
        replays[#replays + 1] = { n, 'R', sub(held, known + 16, known + 23) }
      else
        answer = 'K'
      end
    elseif phase_now then
      answer = phase_now
    else
      local lines = all[n - 2]
      local payload = #order - lines.name_at - #name
      local units_held = held == '' and 0 or unpack_bytes('>I6', held)
      local total = units_held + lines.units
      if limit and total > limit then
        answer = 'L'
      else
        answer = lacking(lines, items, ni)
          or (waiting >= most_orders or bytes + payload > most_bytes) and 'F' or nil
      end
      if not answer then
        hold_units(s, lines, items)
        taken, waiting, bytes = taken + 1, waiting + 1, bytes + payload
        local sequence = before + taken
        local own = pack('>I6', sequence)
        if taken == 1 then admitted[1] = epoch .. own end
        adds[taken], admitted[taken + 1] = accepted_at .. order, sub(key, 17, 24)
        local text = units_text[total]
        if not text then
          text = pack('>I6', total)
          units_text[total] = text
        end
        local slot = at[name]
        if not slot then
          slot = #buyers + 1
          at[name], buyers[slot] = slot, name
        end
        if held == '' then
          m.nb = m.nb + 1
          held = text .. sub(key, 1, 16) .. epoch .. own
        else
          held = text .. sub(held, 7) .. sub(key, 1, 16) .. epoch .. own
        end
        names[name], buyers[slot + 1], answer = held, held, sequence
      elseif answer == 'L' and held ~= '' then
        replays[#replays + 1] = { n, 'L', sub(held, -8) }
      end
    end
    -- What is answered later keeps its place meanwhile.
    answers[n] = answer or false
  end
  if taken > 0 then
    m.seq, m.c0, m.by = before + taken, m.c0 + taken, bytes
    call('RPUSH', s.q, unpack(adds))
    call('HSET', s.base .. 'b', unpack(buyers))
    flush(s)
  elseif #replays > 0 then
    call('HSET', s.key, 'replayed', s.at)
  end
  for k = 1, #replays do
    local replay = replays[k]
    answers[replay[1]] = replay[2] .. receipt(s, replay[3], before)
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
