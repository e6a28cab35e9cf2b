
-- ---- The sale as one call sees it -------------------------------------------------------------------------------

local COUNTS = { 'c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8' }
local NUMBERS = { 'ep', 'seq', 'made', 'by', 'nb', 'evn', 'ls', 'ni', 'nm', 'rev', 'touched', 'hold', 'ask', 'cur', 'rep', 'rnext' }
-- Texts, then NUMBERS, then COUNTS.
local FIELDS = {
  'v', 'run', 'closed', 'paused', 'purged', 'opens', 'closes', 'limit', 'spans', 'rec',
  'ep', 'seq', 'made', 'by', 'nb', 'evn', 'ls', 'ni', 'nm', 'rev', 'touched', 'hold', 'ask', 'cur', 'rep', 'rnext',
  'c0', 'c1', 'c2', 'c3', 'c4', 'c5', 'c6', 'c7', 'c8',
}
local TEXTS = #FIELDS - #NUMBERS - #COUNTS

-- What `flush` writes when it has changed.
local CHANGING = { 'seq', 'by', 'nb', 'evn', 'ls', 'cur', 'rep', 'rnext', 'c0', 'c1', 'c2', 'c4', 'c5', 'c7', 'c8' }

local function broken(what)
  return redis.error_reply('-BROKEN ' .. what)
end

-- Reads `m`. The second answer is what to return instead of going on. `reads`: the call changes nothing, and takes the
-- data as they are when its fence is '*'.
local function begin(keys, args, reads)
  local run, at = enter(args[1])
  local base = sub(keys[1], 1, -2)
  local values = call('HMGET', keys[1], unpack(FIELDS))
  local m = {}
  for k = 1, TEXTS do m[FIELDS[k]] = values[k] or '' end
  for k = TEXTS + 1, #FIELDS do m[FIELDS[k]] = tonumber(values[k]) or 0 end
  if m.v == '' then return nil, redis.error_reply('-NOSALE there is no such sale') end
  if m.v ~= FORMAT then return nil, redis.error_reply('-FORMAT the sale has the format ' .. m.v) end
  if m.run ~= run and not (reads and run == '*') then return nil, redis.error_reply('-FENCED the run id in force is another') end
  local was = {}
  for k = 1, #CHANGING do was[k] = m[CHANGING[k]] end
  return {
    was = was, base = base, key = keys[1], at = at, m = m, q = base .. 'q', answers = 0,
    items = {}, buyers = {}, moved = {}, claimed = {}, placed = {}, levels = {}, admitted = {}, decided = {},
    lset = {}, a_set = {}, a_del = {}, due_set = {}, due_del = {}, dead_set = {}, dead_del = {}, x_set = {},
    t = {}, n_set = {}, dirty = false,
  }
end

local function accepted(m)
  local sum = 0
  for k = 1, #COUNTS do sum = sum + m[COUNTS[k]] end
  return sum
end

-- What no call may find: keys that somebody deleted or that are of another type. Checked before the first write.
local function whole(s)
  local m = s.m
  if m.purged ~= '' then return nil end
  local taken, waiting = m.c1 + m.c7, accepted(m) - m.cur
  local q, b = call('LLEN', s.q), call('HLEN', s.base .. 'b')
  local a, due = call('HLEN', s.base .. 'a'), call('ZCARD', s.base .. 'due')
  call('XLEN', s.base .. 'ev')
  if q ~= waiting then return broken(fmt('q has %d orders, the counters say %d', q, waiting)) end
  if b ~= m.nb then return broken(fmt('b has %d buyers, the counters say %d', b, m.nb)) end
  if a ~= taken then return broken(fmt('a has %d orders, the counters say %d', a, taken)) end
  if due ~= m.c1 then return broken(fmt('due has %d orders, the counters say %d', due, m.c1)) end
  return nil
end

-- `begin`, and nothing where a sale is not whole: what changes orders goes on from here.
local function begin_whole(keys, args)
  local s, bad = begin(keys, args)
  bad = bad or whole(s)
  return s, bad
end

-- An item from its four values (available, held, sold, generation), the first of them at `k`.
local function item_from(values, k)
  return { a = tonumber(values[k]), h = tonumber(values[k + 1]), s = tonumber(values[k + 2]), g = tonumber(values[k + 3]) }
end

-- How they are called, made once: a number becomes a text slowly.
local ITEM_NAMES = {}

local function item_names(index)
  local names = ITEM_NAMES[index]
  if not names then
    names = { 'a' .. index, 'h' .. index, 's' .. index, 'g' .. index }
    ITEM_NAMES[index] = names
  end
  return names
end

local function item_of(s, index)
  local item = s.items[index]
  if not item then
    item = item_from(call('HMGET', s.key, unpack(item_names(index))), 1)
    s.items[index] = item
  end
  return item
end

-- A buyer: his units, and 24 bytes an order (key, body, place).
local function buyer_of(s, name)
  local buyer = s.buyers[name]
  if not buyer then
    local raw = call('HGET', s.base .. 'b', name)
    buyer = raw and { units = unpack_bytes('>I6', raw), orders = sub(raw, 7) } or { units = 0, orders = '' }
    s.buyers[name] = buyer
  end
  return buyer
end

-- Where each epoch begins, by index in the order of admission.
local function spans_of(m)
  local spans = {}
  for epoch, first in string.gmatch(m.spans, '(%d+):(%d+)') do
    spans[#spans + 1] = { tonumber(epoch), tonumber(first) }
  end
  return spans
end

-- The index of the order at a place, nil when there never was one.
local function index_of(s, epoch, sequence)
  local m = s.m
  s.spans = s.spans or spans_of(m)
  if sequence < 1 then return nil end
  for k = #s.spans, 1, -1 do
    local span, next = s.spans[k], s.spans[k + 1]
    if span[1] == epoch then
      local index, last = span[2] + sequence - 1, next and next[2] or span[2] + m.seq
      return index < last and index or nil
    end
  end
  return nil
end

-- Whether an order of this place may come back yet: the sale is on hold, and it was accepted behind what survived.
local function may_be_missing(m, epoch, sequence)
  return m.rec == '1' and epoch < m.ep and (epoch > m.rep or epoch == m.rep and sequence >= m.rnext)
end

local function place_at(s, index)
  s.spans = s.spans or spans_of(s.m)
  for k = #s.spans, 1, -1 do
    local span = s.spans[k]
    if span[2] <= index then return pack('>I2I6', span[1], index - span[2] + 1) end
  end
end

-- The key and the field under which an order's end is kept.
local function bucket_of(s, epoch, sequence)
  local bucket = math.floor(sequence / BUCKET)
  if s.bucket ~= bucket or s.bucket_epoch ~= epoch then
    s.bucket, s.bucket_epoch, s.bucket_key = bucket, epoch, fmt('%st:%d-%d', s.base, epoch, bucket)
  end
  return s.bucket_key, string.char(sequence - bucket * BUCKET)
end

-- An order in `q` and `a`: accepted at 8, number of lines 1, item 2 and quantity 4 of each, length of the name 1, name, payload.
-- Answers where the name begins and ends.
local function name_of(order)
  local length_at = 10 + 6 * byte(order, 9)
  return length_at + 1, length_at + byte(order, length_at)
end

local function payload_of(order)
  local _, last = name_of(order)
  return #order - last
end

-- ---- Attempts (`a`) ---------------------------------------------------------------------------------------------

-- State, version, attempts, claims without an answer, claims, answers of the store at the claim, lease, its end or the
-- next try, instant of the grant, of death, number of notes, their length; then the notes and the order.
local TRIES = '>BI2BBI4I7I8I8I8I8BI2'
local TRIES_SIZE = 51

local function tries_of(raw)
  local t, length = {}, 0
  t.state, t.version, t.attempts, t.unanswered, t.claims, t.answers, t.lease, t.time, t.attempted, t.settled, t.count,
    length = unpack_bytes(TRIES, raw)
  t.notes, t.order = sub(raw, TRIES_SIZE + 1, TRIES_SIZE + length), sub(raw, TRIES_SIZE + 1 + length)
  return t
end

local function tries_text(t)
  return pack(TRIES, t.state, math.min(t.version, 65535), t.attempts, t.unanswered, t.claims, t.answers, t.lease,
    t.time, t.attempted, t.settled, t.count, #t.notes) .. t.notes .. t.order
end

local function cut(text)
  if #text <= REASON_MAX then return text end
  local last = REASON_MAX
  while last > 0 and byte(text, last + 1) >= 128 and byte(text, last + 1) < 192 do last = last - 1 end
  return sub(text, 1, last)
end

-- The attempt that is open ends: begun 8, ended 8, outcome 1, length 1, reason. Only the last ones are kept.
local function note(t, at, outcome, reason)
  t.notes = t.notes .. pack('>I8I8', t.attempted, at) .. outcome .. string.char(#reason) .. reason
  t.count = t.count + 1
  if t.count > NOTES_MAX then
    t.notes = sub(t.notes, 19 + byte(t.notes, 18))
    t.count = t.count - 1
  end
end

-- Lengths and bytes of texts, one behind the other, as the tails bear a whole hash.
local function packed(texts)
  local list = {}
  for k = 1, #texts do list[k] = pack('>I4', #texts[k]) .. texts[k] end
  return concat(list)
end

local function put(list, first, second)
  local n = #list
  list[n + 1] = first
  if second ~= nil then list[n + 2] = second end
end

local function move(s, place, state)
  if state == PLACED then
    s.placed[#s.placed + 1] = place
  else
    s.moved[#s.moved + 1] = place .. string.char(state)
  end
  s.dirty = true
end

local function count(m, from, to, bytes)
  if from then
    m['c' .. from] = m['c' .. from] - 1
    if from <= PLACING then m.by = m.by - bytes end
  end
  m['c' .. to] = m['c' .. to] + 1
  if to <= PLACING then m.by = m.by + bytes end
end

-- A claimed order waits for its next try from `due` on.
local function waits(s, place, t, due)
  t.lease, t.time = 0, due
  put(s.due_set, due, place)
  put(s.a_set, place, tries_text(t))
end

-- What was seen stands before the death as an attempt that has no end: so the last note has the code, as every version
-- reads it.
local function die(s, place, t, reason, seen)
  if t.lease ~= 0 then
    if seen ~= '' then note(t, 0, 'd', seen) end
    note(t, s.at, 'd', reason)
  end
  t.state, t.version, t.lease, t.time, t.settled = DEAD, t.version + 1, 0, 0, s.at
  put(s.due_del, place)
  put(s.dead_set, 0, place)
  put(s.a_set, place, tries_text(t))
  count(s.m, PLACING, DEAD, payload_of(t.order))
  move(s, place, DEAD)
end

-- An order comes back without an answer, or dies of having come back too often.
local function give_back(s, place, t, due, why, reason)
  local unanswered = t.unanswered + (s.answers > t.answers and 1 or 0)
  if (why == 'l' or why == 'e') and unanswered >= POISON then
    return die(s, place, t, 'poison', reason)
  end
  if why == 's' then
    t.attempts, t.unanswered = math.min(t.attempts + 1, 255), 0
    s.answers = s.answers + 1
    put(s.decided, 'l')
  elseif why == 'u' then
    t.claims = math.max(t.claims - 1, 0)
  else
    t.unanswered = unanswered
  end
  note(t, s.at, why == 's' and 'l' or why, reason)
  t.version = t.version + 1
  waits(s, place, t, due)
  move(s, place, PLACING)
end

-- Keeps how an order ended.
local function keep_end(s, epoch, sequence, record)
  local bucket, field = bucket_of(s, epoch, sequence)
  local ended = s.t[bucket]
  if not ended then
    ended = {}
    s.t[bucket] = ended
  end
  put(ended, field, record)
end

-- A time in as few bytes as hold it; a grant may be older than the order that it is for.
local function size_of(micros)
  if micros < 0 then return 8 end
  return micros < 65536 and 2 or micros < 16777216 and 3 or micros < 4294967296 and 4 or 7
end

local SIZES = { [2] = '>I2', [3] = '>I3', [4] = '>I4', [7] = '>I7', [8] = '>i8' }

local function bytes_of(micros, size)
  return size == 0 and '' or pack(SIZES[size], micros)
end

-- An order ends. `t` is nil when nothing is known of an attempt, and says QUEUED where only the store knew of one;
-- `text` is the shop's number or a reason.
local function finish(s, place, t, order, state, text)
  local m, name_at, name_end = s.m, name_of(order)
  local epoch, sequence = unpack_bytes('>I2I6', place)
  local from, attempted, attempts, version = QUEUED, 0, 0, 1
  local notes, notes_count = '', 0
  if t then
    from, attempted, attempts, version = t.state, t.attempted, t.attempts, t.version
    -- One attempt that ended with the order follows from the order itself.
    if t.count > 0 or t.lease == 0 then
      if t.lease ~= 0 then note(t, s.at, state == PLACED and 'p' or 'r', state == REFUSED and text or '') end
      notes, notes_count = t.notes, t.count
    end
  end
  if from == QUEUED then
    put(s.x_set, 0, place .. string.char(state))
    put(s.lset, index_of(s, epoch, sequence) - m.cur)
  else
    put(s.a_del, place)
    if from == DEAD then put(s.dead_del, place) else put(s.due_del, place) end
    if from == DEAD and state == PLACED then version = version + 1 end
  end
  local accepted_at = unpack_bytes('>I8', order)
  local tried = attempted == 0 and 0 or attempted - accepted_at
  local after = s.at - math.max(attempted, accepted_at)
  local tried_size, after_size = attempted == 0 and 0 or size_of(tried), size_of(after)
  local record = pack('>BI2BI6B', state, math.min(version + 1, 65535), attempts, accepted_at - m.made,
    tried_size * 16 + after_size) .. bytes_of(tried, tried_size) .. bytes_of(after, after_size) .. sub(order, 9, name_end)
  if #record + 1 + #text <= INLINE_MAX and notes_count == 0 then
    record = record .. string.char(#text) .. text
  else
    record = record .. string.char(255)
    put(s.n_set, place, string.char(#text) .. text .. string.char(notes_count) .. notes)
  end
  keep_end(s, epoch, sequence, record)
  local units = 0
  for k = 1, byte(order, 9) do
    local index, quantity = unpack_bytes('>I2I4', order, 4 + 6 * k)
    local item = item_of(s, index)
    item.h, item.dirty, units = item.h - quantity, true, units + quantity
    if state == PLACED then
      item.s = item.s + quantity
    else
      if item.a == 0 then
        item.g = item.g + 1
        s.levels[index] = true
      end
      item.a = item.a + quantity
    end
  end
  if state ~= PLACED then
    local buyer = buyer_of(s, sub(order, name_at, name_end))
    buyer.units, buyer.dirty = buyer.units - units, true
  end
  count(m, from, state, #order - name_end)
  move(s, place, state)
end

-- ---- Writing ----------------------------------------------------------------------------------------------------

local function write(s, command, key, list)
  if #list > 0 then call(command, s.base .. key, unpack(list)) end
end

-- One entry of the tail: holders first, then what moved, then the levels that followed from it.
local function tell(s)
  local fields = {}
  if #s.admitted > 0 then put(fields, 'a', concat(s.admitted)) end
  if #s.claimed > 0 then put(fields, 'c', concat(s.claimed)) end
  if #s.moved > 0 then put(fields, 'm', concat(s.moved)) end
  if #s.placed > 0 then put(fields, 'p', concat(s.placed)) end
  local levels = {}
  for index in pairs(s.levels) do
    local item = s.items[index]
    levels[#levels + 1] = pack('>I2I6B', index, item.g, item.a == 0 and 1 or 0)
  end
  if #levels > 0 then put(fields, 'l', concat(levels)) end
  if #fields > 0 then
    s.m.evn = s.m.evn + 1
    call('XADD', s.base .. 'ev', fmt('%d-%d', s.m.ep, s.m.evn), unpack(fields))
  end
end

-- Writes what the call decided.
local function flush(s)
  local m = s.m
  for k = 1, #s.lset do call('LSET', s.q, s.lset[k], '') end
  write(s, 'ZREM', 'due', s.due_del)
  write(s, 'ZADD', 'due', s.due_set)
  write(s, 'HDEL', 'a', s.a_del)
  write(s, 'HSET', 'a', s.a_set)
  write(s, 'ZREM', 'dead', s.dead_del)
  write(s, 'ZADD', 'dead', s.dead_set)
  write(s, 'ZADD', 'x', s.x_set)
  write(s, 'HSET', 'n', s.n_set)
  for bucket, list in pairs(s.t) do call('HSET', bucket, unpack(list)) end
  local buyers = {}
  for name, buyer in pairs(s.buyers) do
    if buyer.dirty then put(buyers, name, pack('>I6', buyer.units) .. buyer.orders) end
  end
  write(s, 'HSET', 'b', buyers)
  tell(s)
  -- The server would write numbers as text itself, slowly.
  local sale = { 'touched', fmt('%d', s.at) }
  for k = 1, #CHANGING do
    local field = CHANGING[k]
    if m[field] ~= s.was[k] then
      put(sale, field, fmt('%d', m[field]))
      s.was[k] = m[field]
    end
  end
  for index, item in pairs(s.items) do
    if item.dirty then
      local names = item_names(index)
      put(sale, names[1], fmt('%d', item.a))
      put(sale, names[2], fmt('%d', item.h))
      put(sale, names[3], fmt('%d', item.s))
      put(sale, names[4], fmt('%d', item.g))
    end
  end
  call('HSET', s.key, unpack(sale))
end
