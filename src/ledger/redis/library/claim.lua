
-- ---- Claim and settle -------------------------------------------------------------------------------------------

-- Gives back the orders whose leases have ended.
local function end_leases(s)
  local ended = call('ZRANGEBYSCORE', s.base .. 'due', '-inf', s.at - LEASED, 'LIMIT', 0, EXPIRED_MAX)
  if #ended == 0 then return end
  local tries = call('HMGET', s.base .. 'a', unpack(ended))
  for k, place in ipairs(ended) do give_back(s, place, tries_of(tries[k]), s.at, 'e', '') end
  -- What came back is claimed again by its new time, so it is written first.
  flush(s)
  s.moved, s.claimed, s.placed = {}, {}, {}
  s.a_set, s.due_set, s.due_del, s.dead_set = {}, {}, {}, {}
end

-- Takes up to `room` orders from the head of the queue: their places and the orders. What was cancelled is passed over,
-- a few thousand at a time.
local function take_fresh(s, room)
  local m, places, orders = s.m, {}, {}
  for _ = 1, 20 do
    local wanted = math.min(room - #places, m.c0 - #places)
    if wanted <= 0 then break end
    local popped = call('LPOP', s.q, wanted)
    if not popped then break end
    for k = 1, #popped do
      if popped[k] ~= '' then
        local n = #places + 1
        places[n], orders[n] = place_at(s, m.cur + k - 1), popped[k]
      end
    end
    m.cur = m.cur + #popped
    s.dirty = true
  end
  return places, orders
end

-- ARGV: fence, most orders, length of the lease, instant of the grant, newest stock change that the caller knows,
-- answers that the store ever gave. Answers: lease, its end, 1 if more is due now, when the next is due or 0, newest
-- stock change, the changes that the caller has not seen, how many orders came back, then for each of those place,
-- order, attempts and claims, then for each that was never claimed place and order.
local function claim(keys, args)
  local s, bad = begin_whole(keys, args)
  if bad then return bad end
  local m, base, max = s.m, s.base, math.min(tonumber(args[2]), 500)
  local until_, granted = s.at + tonumber(args[3]), tonumber(args[4])
  s.answers = tonumber(args[6])
  if m.purged ~= '' then return { 0, until_, 0, 0, 0, {}, 0 } end
  -- Nothing is claimed before what gateways remember is there: a cancelled order may be among it. A hold that waits for
  -- the store has no end that is known: it is looked at again.
  if m.rec == '1' then return { 0, until_, 0, math.max(m.hold, s.at + HOLD_LOOK), m.nm, {}, 0 } end
  end_leases(s)
  local back = call('ZRANGEBYSCORE', base .. 'due', 0, s.at, 'LIMIT', 0, max)
  local head = m.cur
  local fresh, orders = take_fresh(s, max - #back)
  local taken = #back + #fresh
  local reply = { 0, until_, 0, 0, m.nm, {}, #back }
  if taken > 0 then
    m.ls = m.ls + 1
    local lease = m.ep * 137438953472 + m.ls
    reply[1] = lease
    if tonumber(args[5]) < m.nm then reply[6] = call('LRANGE', base .. 'mv', args[5], -1) end
    local moved, placing = s.moved, string.char(PLACING)
    local a_set, due_set = s.a_set, s.due_set
    if #back > 0 then
      local tries = call('HMGET', base .. 'a', unpack(back))
      for k, place in ipairs(back) do
        local t = tries_of(tries[k])
        put(reply, place, t.order)
        put(reply, t.attempts, t.claims)
        t.claims, t.lease, t.time, t.attempted, t.answers = t.claims + 1, lease, until_, granted, s.answers
        put(a_set, place, tries_text(t))
        put(due_set, until_ - LEASED, place)
        moved[#moved + 1] = place .. placing
      end
    end
    local first = pack(TRIES, PLACING, 2, 0, 0, 1, s.answers, lease, until_, granted, 0, 0, 0)
    local n, a_n, due_n, score = #reply, #a_set, #due_set, fmt('%.0f', until_ - LEASED)
    for k = 1, #fresh do
      local place, order = fresh[k], orders[k]
      reply[n + 1], reply[n + 2], n = place, order, n + 2
      a_set[a_n + 1], a_set[a_n + 2], a_n = place, first .. order, a_n + 2
      -- The last first: what stands before all else in a small sorted set is put there without a search.
      due_set[due_n + 1], due_set[due_n + 2], due_n = score, fresh[#fresh + 1 - k], due_n + 2
    end
    s.claimed = fresh
    m.c0, m.c1 = m.c0 - #fresh, m.c1 + #fresh
    s.dirty = true
  end
  if s.dirty then
    if m.cur > head and call('EXISTS', base .. 'x') == 1 then
      call('ZREMRANGEBYLEX', base .. 'x', '-', '(' .. place_at(s, m.cur))
    end
    flush(s)
  end
  local due = call('ZRANGEBYSCORE', base .. 'due', 0, '+inf', 'LIMIT', 0, 1, 'WITHSCORES')[2]
  local lease_end = call('ZRANGEBYSCORE', base .. 'due', '-inf', '(0', 'LIMIT', 0, 1, 'WITHSCORES')[2]
  due, lease_end = tonumber(due), lease_end and tonumber(lease_end) + LEASED
  if m.c0 > 0 or (due and due <= s.at) then reply[3] = 1 end
  if due and due <= s.at then
    due = tonumber(call('ZRANGEBYSCORE', base .. 'due', '(' .. fmt('%.0f', s.at), '+inf', 'LIMIT', 0, 1, 'WITHSCORES')[2])
  end
  if lease_end and lease_end > s.at and (not due or lease_end < due) then due = lease_end end
  reply[4] = due or 0
  return reply
end

-- ARGV: fence, answers that the store ever gave, then for each order place 8, lease 8, fate 1 and what it needs.
-- Answers: what was decided, in order (p placed, r refused, l an answer that spends), then D, S or U for each.
local function settle(keys, args)
  local s, bad = begin_whole(keys, args)
  if bad then return bad end
  s.answers = tonumber(args[2])
  local places, seen = {}, {}
  for k = 3, #args do
    local place = sub(args[k], 1, 8)
    if not seen[place] then
      seen[place] = true
      places[#places + 1] = place
    end
  end
  local raws, tries = call('HMGET', s.base .. 'a', unpack(places)), {}
  -- Orders that were claimed together for the first time have the same attempts; only an end leaves them as they are.
  local parsed = {}
  for k, place in ipairs(places) do tries[place] = raws[k] or nil end
  local ended, answers = {}, { '' }
  for k = 3, #args do
    local arg = args[k]
    local place, fate = sub(arg, 1, 8), sub(arg, 17, 17)
    local lease, t, answer = unpack_bytes('>I8', arg, 9), tries[place], 'D'
    local final = (fate == 'P' and PLACED) or (fate == 'R' and REFUSED)
    local order
    if type(t) == 'string' then
      -- The last two bytes are the length of the notes: without notes the order follows at once.
      local head = final and sub(t, 1, TRIES_SIZE)
      local known = final and sub(head, -2) == '\0\0' and parsed[head]
      if known then
        order, t = sub(t, TRIES_SIZE + 1), known
      else
        t = tries_of(t)
        order = t.order
        if head and t.count == 0 and t.lease ~= 0 then parsed[head] = t end
        tries[place] = t
      end
    elseif t then
      order = t.order
    end
    if t and final then
      local text = cut(sub(arg, 18))
      s.answers = s.answers + 1
      put(s.decided, final == PLACED and 'p' or 'r')
      finish(s, place, t, order, final, text)
      ended[place], tries[place] = final, nil
    elseif t and t.state == PLACING and t.lease == lease and t.time > s.at then
      if fate == 'L' then
        local after, spends = unpack_bytes('>I8B', arg, 18)
        give_back(s, place, t, s.at + after, spends == 1 and 's' or 'l', cut(sub(arg, 27)))
      elseif fate == 'U' then
        give_back(s, place, t, s.at, 'u', '')
      else
        local last = 25 + unpack_bytes('>I8', arg, 18)
        die(s, place, t, cut(sub(arg, 26, last)), cut(sub(arg, last + 1)))
      end
    elseif t then
      answer = 'S'
    else
      local epoch, sequence = unpack_bytes('>I2I6', place)
      local bucket, field = bucket_of(s, epoch, sequence)
      local state = ended[place]
      if not state then
        local record = call('HGET', bucket, field)
        state = record and byte(record, 1)
      end
      if s.m.purged ~= '' or not index_of(s, epoch, sequence) then
        answer = 'U'
      elseif not final or state ~= final then
        answer = 'S'
      end
    end
    answers[k - 1] = answer
  end
  if s.dirty then flush(s) end
  answers[1] = concat(s.decided)
  return answers
end
